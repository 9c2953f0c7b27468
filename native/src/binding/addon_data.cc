#include "binding/addon_data.h"

namespace umem {

AddonData* AddonData::Create(Napi::Env env) {
  auto data = std::make_unique<AddonData>();
  data->loop = EventLoop::Create(env);
  if (!data->loop) return nullptr;
  AddonData* installed = data.release();
  env.SetInstanceData(installed);
  return installed;
}

AddonData& AddonData::Of(Napi::Env env) {
  // SAFETY: Create has run for this environment before any export could be called.
  return *env.GetInstanceData<AddonData>();
}

}  // namespace umem
