local status = obj.status or {}
local hs = {status = "Progressing", message = status.phase or "Pending"}
if status.phase == "Succeeded" then
  hs.status = "Healthy"
elseif status.phase == "Failed" then
  hs.status = "Degraded"
end

if status.progress ~= nil then
  hs.message = hs.message .. ", " .. status.progress.percent .. "%"
end
for _, condition in ipairs(status.conditions or {}) do
  -- Says why; without it a failed run would say only that it failed.
  if condition.type == "Failed" and condition.status == "True" and condition.message ~= nil then
    hs.message = hs.message .. ": " .. condition.message
  end
end
return hs
