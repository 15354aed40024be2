#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>

namespace foregate::offload {

/// Records of one size, in a file without a name in the folder for temporary files (TMPDIR): what
/// would grow with a trace's length if it lay in memory. Throws EnvironmentError if there is no
/// room.
class SpillFile {
 public:
  explicit SpillFile(size_t record_values);

  size_t size() const { return size_; }
  void append(std::span<const int64_t> record);
  void read(size_t index, std::span<int64_t> record);
  void overwrite(size_t index, std::span<const int64_t> record);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void seek(size_t index);
  [[noreturn]] void fail(const char* what) const;

  size_t record_bytes_;
  size_t size_ = 0;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace foregate::offload
