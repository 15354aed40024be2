#pragma once

#include <stdexcept>
#include <string>

namespace foregate {

/// Exit codes of the program; scripts rely on them.
enum class ExitCode : int { kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130 };

/// The message with control characters written as \n, \t or \xNN: what a broken file holds may be
/// quoted, and must neither break the line nor reach the terminal as an order.
std::string on_one_line(const std::string& message);

/// Base of every error that is reported to a person. The message is one line: what, where (file,
/// key, offset), what was expected and found, and what to do.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode exit_code = ExitCode::kFailed)
      : std::runtime_error(on_one_line(message)), exit_code_(exit_code) {}
  ExitCode exit_code() const { return exit_code_; }

 private:
  ExitCode exit_code_;
};

/// A command line or option that cannot be meant. Exit code 2.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(message, ExitCode::kUsage) {}
};

/// A file or value that is not what it should be: broken, truncated, unsupported, of the wrong
/// shape.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(message) {}
};

/// The machine does not give what is needed: missing file, no permission, full disk, no memory.
class EnvironmentError : public Error {
 public:
  explicit EnvironmentError(const std::string& message) : Error(message) {}
};

/// A compute device is missing, too old or out of memory.
class DeviceError : public Error {
 public:
  explicit DeviceError(const std::string& message) : Error(message) {}
};

/// Too little device or host memory for what was tried; a smaller piece may fit.
class OutOfMemoryError : public DeviceError {
 public:
  explicit OutOfMemoryError(const std::string& message) : DeviceError(message) {}
};

/// The user pressed Ctrl-C or sent SIGTERM. What was finished is kept.
class InterruptedError : public Error {
 public:
  explicit InterruptedError(const std::string& message) : Error(message, ExitCode::kInterrupted) {}
};

}  // namespace foregate
