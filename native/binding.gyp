{
  "targets": [
    {
      "target_name": "umem_native",
      "sources": [
        "src/addon.cc",
        "src/binding/addon_data.cc",
        "src/binding/arguments.cc",
        "src/binding/callback.cc",
        "src/binding/errors.cc",
        "src/binding/event_loop.cc",
        "src/binding/fd_watcher.cc",
        "src/binding/file_functions.cc",
        "src/binding/file_mapping_object.cc",
        "src/binding/ram_reader_object.cc",
        "src/binding/unix_connection_object.cc",
        "src/binding/unix_listener_object.cc",
        "src/binding/userfaultfd_events.cc",
        "src/binding/userfaultfd_functions.cc",
        "src/binding/userfaultfd_object.cc",
        "src/os/file.cc",
        "src/os/pidfd.cc",
        "src/os/socket_facts.cc",
        "src/os/unix_socket.cc",
        "src/os/unix_listener.cc",
        "src/ram/constant_page.cc",
        "src/ram/constant_page_avx2.cc",
        "src/ram/constant_page_portable.cc",
        "src/ram/constant_page_sse2.cc",
        "src/ram/data_extents.cc",
        "src/ram/file_mapping.cc",
        "src/ram/ram_reader.cc",
        "src/uffd/event.cc",
        "src/uffd/open.cc",
        "src/uffd/page_fill.cc",
        "src/uffd/userfaultfd.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")", "src"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "_GNU_SOURCE"
      ],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-O2"],
      "cflags_cc": ["-std=c++17", "-fno-exceptions"]
    }
  ]
}
