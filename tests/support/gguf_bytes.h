#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace foregate::testing {

/// The bytes of a number, as GGUF files have it.
template <typename Number>
std::string number_bytes(Number number) {
  static_assert(std::is_arithmetic_v<Number>);
  std::string bytes(sizeof(Number), '\0');
  std::memcpy(bytes.data(), &number, sizeof(Number));
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return number_bytes<uint64_t>(text.size()) + std::string(text);
}

/// first, first + 1, first + 2, ...
inline std::vector<float> ramp(size_t count, float first = 0) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i);
  return values;
}

/// Builds GGUF files piece by piece, broken ones too.
class GgufBytes {
 public:
  GgufBytes& integer(std::string_view key, uint32_t value) {
    return value_bytes(key, 4, number_bytes(value));
  }
  GgufBytes& number(std::string_view key, float value) {
    return value_bytes(key, 6, number_bytes(value));
  }
  GgufBytes& boolean(std::string_view key, bool value) {
    return value_bytes(key, 7, std::string(1, value ? '\1' : '\0'));
  }
  GgufBytes& string(std::string_view key, std::string_view text) {
    return value_bytes(key, 8, gguf_string(text));
  }
  GgufBytes& strings(std::string_view key, const std::vector<std::string>& texts) {
    std::string elements;
    for (const std::string& text : texts) elements += gguf_string(text);
    return array(key, 8, texts.size(), elements);
  }
  GgufBytes& integers(std::string_view key, const std::vector<int32_t>& values) {
    std::string elements;
    for (const int32_t value : values) elements += number_bytes(value);
    return array(key, 5, values.size(), elements);
  }
  GgufBytes& numbers(std::string_view key, const std::vector<float>& values) {
    std::string elements;
    for (const float value : values) elements += number_bytes(value);
    return array(key, 6, values.size(), elements);
  }
  GgufBytes& array(std::string_view key, uint32_t type, uint64_t count,
                   const std::string& elements) {
    return value_bytes(key, 9, number_bytes(type) + number_bytes(count) + elements);
  }
  GgufBytes& value_bytes(std::string_view key, uint32_t type, const std::string& bytes) {
    values_ += gguf_string(key) + number_bytes(type) + bytes;
    ++num_values_;
    return *this;
  }
  /// `shape` as everywhere else: slowest dimension first. Without bytes of its own it lies where
  /// the one before it ends.
  GgufBytes& tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& shape,
                    const std::string& bytes) {
    tensor_at(name, type, shape, data_.size());
    data_ += bytes;
    data_.append((kAlignment - data_.size() % kAlignment) % kAlignment, '\0');
    return *this;
  }
  GgufBytes& tensor_at(std::string_view name, uint32_t type, const std::vector<uint64_t>& shape,
                       uint64_t offset) {
    tensors_ += gguf_string(name) + number_bytes(static_cast<uint32_t>(shape.size()));
    for (size_t i = shape.size(); i-- > 0;) tensors_ += number_bytes(shape[i]);
    tensors_ += number_bytes(type) + number_bytes(offset);
    ++num_tensors_;
    return *this;
  }
  /// A tensor of float32 values.
  GgufBytes& floats(std::string_view name, const std::vector<uint64_t>& shape,
                    const std::vector<float>& values) {
    std::string bytes(values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return tensor(name, 0, shape, bytes);
  }

  std::string header(uint32_t version = 3) const {
    std::string bytes = "GGUF" + number_bytes(version) + number_bytes(num_tensors_) +
                        number_bytes(num_values_) + values_ + tensors_;
    bytes.append((kAlignment - bytes.size() % kAlignment) % kAlignment, '\0');
    return bytes;
  }
  std::string bytes() const { return header() + data_; }

 private:
  static constexpr size_t kAlignment = 32;

  std::string values_;
  std::string tensors_;
  std::string data_;
  uint64_t num_values_ = 0;
  uint64_t num_tensors_ = 0;
};

}  // namespace foregate::testing
