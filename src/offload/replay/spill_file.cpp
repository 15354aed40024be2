#include "offload/replay/spill_file.h"

#include <fmt/format.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace foregate::offload {

SpillFile::SpillFile(size_t record_values) : record_bytes_(record_values * sizeof(int64_t)) {
  std::string path = (std::filesystem::temp_directory_path() / "foregate-XXXXXX").string();
  const int descriptor = ::mkstemp(path.data());
  if (descriptor < 0) fail("make");
  ::unlink(path.c_str());  // It goes with its descriptor, however the program ends.
  file_.reset(::fdopen(descriptor, "w+b"));
  if (!file_) {
    ::close(descriptor);
    fail("open");
  }
}

void SpillFile::fail(const char* what) const {
  throw EnvironmentError(fmt::format(
      "cannot {} a temporary file in {}: {}; make room there, or set TMPDIR to another folder",
      what, std::filesystem::temp_directory_path().string(), std::strerror(errno)));
}

void SpillFile::seek(size_t index) {
  if (::fseeko(file_.get(), static_cast<off_t>(index * record_bytes_), SEEK_SET) != 0) fail("read");
}

void SpillFile::append(std::span<const int64_t> record) {
  overwrite(size_++, record);
}

void SpillFile::overwrite(size_t index, std::span<const int64_t> record) {
  seek(index);
  if (std::fwrite(record.data(), record_bytes_, 1, file_.get()) != 1 ||
      std::fflush(file_.get()) != 0)
    fail("write");
}

void SpillFile::read(size_t index, std::span<int64_t> record) {
  seek(index);
  if (std::fread(record.data(), record_bytes_, 1, file_.get()) != 1) fail("read");
}

}  // namespace foregate::offload
