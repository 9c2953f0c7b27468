#include "binding/callback.h"

namespace umem {

bool CallFromLoop(Napi::Env env, std::shared_ptr<Napi::AsyncContext> context, Napi::Object receiver,
                  Napi::Function function, std::initializer_list<napi_value> arguments) {
  const napi_status status =
      napi_make_callback(env, *context, receiver, function, arguments.size(), arguments.begin(), nullptr);
  if (status == napi_ok) return true;
  bool thrown = false;
  if (napi_is_exception_pending(env, &thrown) != napi_ok || !thrown) return false;
  napi_value exception;
  if (napi_get_and_clear_last_exception(env, &exception) != napi_ok) return true;
  // Ignored: it fails only when this thread is being terminated, and then nobody listens.
  (void)napi_fatal_exception(env, exception);
  return true;
}

}  // namespace umem
