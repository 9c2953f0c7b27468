#pragma once

#include <napi.h>

#include <optional>
#include <utility>

namespace umem {

// The way from a function that opens something to the constructor of its JavaScript class: the native part is
// left here while `new` runs. JavaScript that finds the class by itself and calls it gets a TypeError.
template <class T>
class NativePart {
 public:
  // Makes an object of `js_class`, whose constructor takes `part`. Empty with an exception pending on
  // failure.
  static Napi::Value Construct(const Napi::FunctionReference& js_class, T part) {
    waiting_.emplace(std::move(part));
    Napi::Value object = js_class.New({});
    waiting_.reset();
    return object;
  }

  // Called by the constructor. Empty, with an exception pending, when it was not Construct that called it.
  static std::optional<T> Take(const Napi::CallbackInfo& info) {
    if (!waiting_) {
      Napi::TypeError::New(info.Env(), "Illegal constructor").ThrowAsJavaScriptException();
      return std::nullopt;
    }
    std::optional<T> part = std::move(waiting_);
    waiting_.reset();
    return part;
  }

 private:
  static inline thread_local std::optional<T> waiting_;
};

}  // namespace umem
