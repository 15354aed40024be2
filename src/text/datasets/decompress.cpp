#include "text/datasets/decompress.h"

#include <arrow/api.h>
#include <arrow/io/api.h>
#include <arrow/util/compression.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace foregate::text {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;
constexpr std::string_view kGzip = "\x1f\x8b";
constexpr std::string_view kZstandard = "\x28\xb5\x2f\xfd";

/// A new file that is removed again unless it is kept.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::error_code error;
    const fs::path folder = fs::temp_directory_path(error);
    if (error) {
      throw EnvironmentError(
          fmt::format("no folder for unpacked files: {}; set TMPDIR to one", error.message()));
    }
    std::string name = (folder / "foregate-XXXXXX").string();
    descriptor_ = ::mkstemp(name.data());
    path_ = name;
    if (descriptor_ < 0) fail();
  }
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!kept_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const char* data, int64_t size) {
    while (size > 0) {
      const auto written = ::write(descriptor_, data, static_cast<size_t>(size));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail();
      data += written;
      size -= written;
    }
  }
  const fs::path& keep() {
    kept_ = true;
    return path_;
  }

 private:
  [[noreturn]] void fail() const {
    throw EnvironmentError(
        fmt::format("cannot write {}: {}; set TMPDIR to a folder that has room for unpacked files",
                    path_.string(), std::strerror(errno)));
  }

  fs::path path_;
  int descriptor_ = -1;
  bool kept_ = false;
};

template <typename T>
T value_of(arrow::Result<T> result, const fs::path& path) {
  if (result.ok()) return std::move(result).ValueUnsafe();
  std::string reason = result.status().message();
  throw DataError(fmt::format("{}: cannot unpack: {}; copy the file again", path.string(),
                              reason.substr(0, reason.find('\n'))));
}

}  // namespace

bool is_compressed(std::string_view bytes) {
  return bytes.starts_with(kGzip) || bytes.starts_with(kZstandard);
}

fs::path decompress_to_temporary(const fs::path& path) {
  const bool gzip = MappedFile(path).text().starts_with(kGzip);
  auto input = value_of(arrow::io::ReadableFile::Open(path.string()), path);
  const auto codec = value_of(
      arrow::util::Codec::Create(gzip ? arrow::Compression::GZIP : arrow::Compression::ZSTD), path);
  const auto stream =
      value_of(arrow::io::CompressedInputStream::Make(codec.get(), std::move(input)), path);
  TemporaryFile output;
  std::vector<char> piece(kPieceBytes);
  while (const int64_t size = value_of(stream->Read(kPieceBytes, piece.data()), path)) {
    output.write(piece.data(), size);
  }
  return output.keep();
}

}  // namespace foregate::text
