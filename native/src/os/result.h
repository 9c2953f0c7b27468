#pragma once

#include <cerrno>
#include <utility>
#include <variant>

namespace umem {

// A system call that failed: which one, and its errno.
struct Failure {
  const char* syscall;
  int error;
};

// The failure of the system call that has just returned.
inline Failure LastFailure(const char* syscall) { return Failure{syscall, errno}; }

// A value, or the failure that prevented it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : state_(std::in_place_index<1>, failure) {}

  bool ok() const { return state_.index() == 0; }
  T& value() { return *std::get_if<0>(&state_); }
  const Failure& failure() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Failure> state_;
};

struct Done {};
// Nothing, or the failure.
using Status = Result<Done>;

}  // namespace umem
