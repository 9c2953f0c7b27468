#pragma once

#include <napi.h>

#include <initializer_list>
#include <memory>

namespace umem {

// Calls JavaScript from the event loop, with microtasks and nextTick after it. napi_make_callback. What it
// throws is an uncaught exception of this environment. False when JavaScript could not be called at all,
// because the environment is ending: then nobody has taken the arguments.
// The function may close the object that calls it: the context is held here, and the caller looks again
// before it goes on.
bool CallFromLoop(Napi::Env env, std::shared_ptr<Napi::AsyncContext> context, Napi::Object receiver,
                  Napi::Function function, std::initializer_list<napi_value> arguments);

}  // namespace umem
