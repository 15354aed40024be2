#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/containers/gguf_header.h"

namespace foregate {

/// Walks the header of a GGUF file from front to back: nothing behind the file's end is read, and
/// nothing is reserved by a size that the file only claims.
class GgufParser {
 public:
  GgufParser(std::string_view file, const std::string& where) : file_(file), where_(where) {}

  /// Magic number and version.
  void read_start();
  std::map<std::string, GgufValue, std::less<>> read_values();
  /// Of the tensors, whose places depend on `alignment`; call it last.
  std::vector<GgufTensor> read_tensors(uint64_t alignment);
  uint64_t data_start() const { return data_start_; }

 private:
  template <typename Number>
  Number read(const char* what);
  std::string_view take(uint64_t size, const std::string& what);
  std::string_view read_string(const std::string& what);
  std::string read_name(const std::string& what);
  GgufValue read_value(uint32_t type, const std::string& what);
  GgufValue read_array(const std::string& what);
  GgufTensor read_tensor();
  void place_tensors(std::vector<GgufTensor>& tensors, uint64_t alignment);
  [[noreturn]] void fail(const std::string& what) const;

  std::string_view file_;
  const std::string& where_;
  uint64_t position_ = 0;
  uint64_t num_tensors_ = 0;
  uint64_t num_values_ = 0;
  uint64_t data_start_ = 0;
};

}  // namespace foregate
