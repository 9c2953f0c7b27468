// Registers the exports of ts/native.ts, in its order. No logic.
#include <napi.h>

#include "binding/addon_data.h"
#include "binding/errors.h"
#include "binding/file_functions.h"
#include "binding/file_mapping_object.h"
#include "binding/ram_reader_object.h"
#include "binding/unix_connection_object.h"
#include "binding/unix_listener_object.h"
#include "binding/userfaultfd_functions.h"
#include "binding/userfaultfd_object.h"

namespace {

// Called once in each thread that loads the addon.
Napi::Object Init(Napi::Env env, Napi::Object exports) {
  umem::AddonData* data = umem::AddonData::Create(env);
  if (data == nullptr) return exports;
  data->userfaultfd = Napi::Persistent(umem::UserfaultfdObject::Define(env));
  data->ram_reader = Napi::Persistent(umem::RamReaderObject::Define(env));
  data->file_mapping = Napi::Persistent(umem::FileMappingObject::Define(env));
  data->unix_connection = Napi::Persistent(umem::UnixConnectionObject::Define(env));
  data->unix_listener = Napi::Persistent(umem::UnixListenerObject::Define(env));

  const auto export_function = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  export_function("setErrorClass", umem::SetErrorClass);
  export_function("createUserfaultfd", umem::CreateUserfaultfd);
  export_function("adoptUserfaultfd", umem::AdoptUserfaultfd);
  export_function("probeUserfaultfd", umem::ProbeUserfaultfd);
  export_function("openRamReader", umem::RamReaderObject::Open);
  export_function("dataExtents", umem::DataExtentsOf);
  export_function("mapFile", umem::FileMappingObject::Map);
  export_function("forgetMapped", umem::ForgetMappedFunction);
  export_function("listenUnix", umem::UnixListenerObject::Listen);
  export_function("pidfdOpen", umem::PidfdOpenFunction);
  export_function("pidfdGetfd", umem::PidfdGetfdFunction);
  export_function("dupFd", umem::DupFdFunction);
  export_function("closeFd", umem::CloseFdFunction);
  export_function("createMemfd", umem::CreateMemfdFunction);
  export_function("punchHole", umem::PunchHoleFunction);
  export_function("inspectSocket", umem::InspectSocketFunction);
  return exports;
}

}  // namespace

NODE_API_MODULE(umem_native, Init)
