local ready = {}
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  end
end

local hs = {status = "Progressing", message = ready.message or "Not looked at yet"}
if ready.observedGeneration ~= nil and ready.observedGeneration ~= obj.metadata.generation then
  -- The condition tells of an older spec, and may be wrong for this one.
  hs.message = "Not looked at since the spec has changed"
elseif ready.status == "True" then
  -- Also one that is suspended: there is nothing to wait for.
  hs.status = "Healthy"
elseif ready.status == "False" then
  hs.status = "Degraded"
end
return hs
