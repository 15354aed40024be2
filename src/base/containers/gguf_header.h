#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/containers/gguf_types.h"

namespace foregate {

/// A value of a GGUF file's metadata, where it lies in the file.
struct GgufValue {
  enum class Kind : uint8_t { kInteger, kNumber, kBoolean, kString, kArray };

  Kind kind = Kind::kInteger;
  uint32_t type = 0;         ///< as the file has it; of an array that of its elements
  uint64_t count = 0;        ///< elements of an array
  std::string_view bytes{};  ///< the value; of a string its text, of an array its elements
};

/// One tensor of a GGUF file, as its header says.
struct GgufTensor {
  std::string name;
  const GgufType* type = nullptr;
  std::vector<int64_t> shape;  ///< slowest dimension first, as everywhere else here
  uint64_t begin = 0;          ///< byte offsets in the file
  uint64_t end = 0;
};

/// What stands in front of the tensors of a GGUF file: pairs of key and value, and the tensors'
/// names, types, shapes and offsets. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
/// Values are views of the file, which must outlive the header. Every look-up throws DataError,
/// naming file, key, what was expected and what was found.
class GgufHeader {
 public:
  /// Reads and checks the header of `file`, the bytes of a whole file; `where` names it in errors.
  /// Throws DataError for another kind or version of file, a file that is cut short, sizes that the
  /// file cannot hold, a key or name that comes twice, unknown types, and tensors that overlap.
  GgufHeader(std::string_view file, std::string where);

  const std::string& where() const { return where_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  ///< by rising offset
  uint64_t data_start() const { return data_start_; }

  bool has(const std::string& key) const { return values_.contains(key); }
  int64_t integer(const std::string& key, int64_t low, int64_t high) const;
  int64_t integer(const std::string& key, int64_t low, int64_t high, int64_t fallback) const;
  double number(const std::string& key) const;
  bool boolean(const std::string& key) const;
  bool boolean(const std::string& key, bool fallback) const;
  std::string string(const std::string& key) const;
  std::string string(const std::string& key, const std::string& fallback) const;
  bool is_array(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  /// Views of the file.
  std::vector<std::string_view> strings(const std::string& key) const;
  /// Throws DataError: "<where>: <key> is <found>; expected <expected>".
  [[noreturn]] void fail(const std::string& key, const std::string& expected) const;

 private:
  const GgufValue& at(const std::string& key, const std::string& expected) const;
  const GgufValue& array(const std::string& key, const std::string& expected) const;
  std::string found_at(const std::string& key) const;

  std::string where_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  uint64_t data_start_ = 0;
};

/// The shortest decimal that float32 rounds to this: what was meant, where a file says 1e-6.
double as_written(double value);

/// Whether a file begins as GGUF files do, or is called like one. False if it cannot be read.
bool is_gguf_file(const std::filesystem::path& path);

/// SHA-256 of a GGUF file's header: of all it says about model and tokenizer. Throws as GgufHeader
/// and MappedFile do.
std::string sha256_of_gguf_header(const std::filesystem::path& path);

}  // namespace foregate
