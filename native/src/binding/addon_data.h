#pragma once

#include <napi.h>

#include <memory>

#include "binding/event_loop.h"

namespace umem {

// What one environment has of this addon.
struct AddonData {
  std::shared_ptr<EventLoop> loop;
  Napi::FunctionReference error_class;
  Napi::FunctionReference userfaultfd;
  Napi::FunctionReference ram_reader;
  Napi::FunctionReference file_mapping;
  Napi::FunctionReference unix_connection;
  Napi::FunctionReference unix_listener;

  // Null with an exception pending on failure.
  static AddonData* Create(Napi::Env env);
  static AddonData& Of(Napi::Env env);
};

}  // namespace umem
