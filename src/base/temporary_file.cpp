#include "base/temporary_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "base/error.h"

namespace foregate {

TemporaryFile::TemporaryFile() {
  std::error_code error;
  const auto folder = std::filesystem::temp_directory_path(error);
  if (error) {
    throw EnvironmentError(
        fmt::format("no folder for unpacked files: {}; set TMPDIR to one", error.message()));
  }
  std::string name = (folder / "foregate-XXXXXX").string();
  descriptor_ = ::mkstemp(name.data());
  path_ = name;
  if (descriptor_ < 0) fail();
}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!kept_) ::unlink(path_.c_str());
}

void TemporaryFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail();
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

const std::filesystem::path& TemporaryFile::keep() {
  kept_ = true;
  return path_;
}

void TemporaryFile::fail() const {
  throw EnvironmentError(
      fmt::format("cannot write {}: {}; set TMPDIR to a folder that has room for unpacked files",
                  path_.string(), std::strerror(errno)));
}

}  // namespace foregate
