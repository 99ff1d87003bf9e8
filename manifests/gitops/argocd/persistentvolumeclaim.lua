-- Replaces Argo CD's own check of every claim, so a claim without our condition is judged as
-- Argo CD itself does. Argo CD answers for objects that are being deleted before it asks here.
local status = obj.status or {}
local populated = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "s3populator.io/Populated" then
    populated = condition
  end
end

local hs = {status = "Progressing", message = populated.message or status.phase or "No status yet"}
if populated.status == "False" then
  -- Before the phase: a claim that is bound elsewhere is Bound, but not to its data.
  hs.status = "Degraded"
elseif status.phase == "Lost" then
  hs.status = "Degraded"
  hs.message = "The volume of the claim is gone"
elseif status.phase == "Bound" then
  hs.status = "Healthy"
elseif status.phase == "Pending" and populated.status == "Unknown" and populated.reason == "WaitForFirstConsumer" then
  -- Its pod may be in a later wave, which would never begin.
  hs.status = "Healthy"
end
return hs
