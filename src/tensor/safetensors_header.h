#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/safetensors.h"

namespace foregate {

/// What the JSON header of a safetensors file says: 8 bytes of little-endian header size, the JSON,
/// then the tensors' bytes. https://github.com/huggingface/safetensors#format
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< by rising offset
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  ///< offset in the file of the first tensor's bytes
};

/// Reads and checks the header of `file`, the bytes of a whole file; `where` names it in errors.
/// Throws DataError for a header that is too large, no JSON object, or repeats a key; for unknown
/// dtypes, shapes that do not give the bytes between their offsets, and data that overlaps, has
/// holes or ends elsewhere than the file does.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& where);

/// The bytes in front of the data for `entries`, whose offsets are set; padded with spaces to a
/// multiple of 8.
std::string make_safetensors_header(const std::vector<SafetensorsEntry>& entries,
                                    const std::map<std::string, std::string>& metadata);

/// Bytes of a tensor of this shape. Throws DataError, naming `what`, if they do not fit 63 bits.
uint64_t tensor_bytes(const std::vector<int64_t>& shape, torch::ScalarType dtype,
                      const std::string& what);

}  // namespace foregate
