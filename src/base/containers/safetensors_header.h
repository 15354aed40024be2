#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace foregate {

/// One tensor of a safetensors file, as its header says.
struct TensorRecord {
  std::string name;
  std::string dtype;  ///< as safetensors names it: "F32"
  std::vector<int64_t> shape;
  uint64_t begin = 0;  ///< byte offsets behind the header
  uint64_t end = 0;
};

/// What the JSON header of a safetensors file says: 8 bytes of little-endian header size, the JSON,
/// then the tensors' bytes. https://github.com/huggingface/safetensors#format
struct SafetensorsHeader {
  std::vector<TensorRecord> tensors;  ///< by rising offset
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  ///< offset in the file of the first tensor's bytes
};

/// Reads and checks the header of `file`, the bytes of a whole file; `where` names it in errors.
/// Throws DataError for a header that is too large, no JSON object, or repeats a key; for unknown
/// dtypes, shapes that do not give the bytes between their offsets, and data that overlaps, has
/// holes or ends elsewhere than the file does.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& where);

/// The bytes in front of the data for `tensors`, whose offsets are set; padded with spaces to a
/// multiple of 8.
std::string make_safetensors_header(const std::vector<TensorRecord>& tensors,
                                    const std::map<std::string, std::string>& metadata);

/// Bytes of one element of a dtype; 0 for a name that is not known.
uint64_t safetensors_element_size(std::string_view dtype);

/// Bytes of a tensor of this shape. Throws DataError, naming `what`, if they do not fit 63 bits.
uint64_t tensor_bytes(const std::vector<int64_t>& shape, uint64_t element_size,
                      const std::string& what);

}  // namespace foregate
