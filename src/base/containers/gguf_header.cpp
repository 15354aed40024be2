#include "base/containers/gguf_header.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/containers/gguf_parser.h"
#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"

namespace foregate {
namespace {

constexpr const char* kAlignmentKey = "general.alignment";
constexpr int64_t kDefaultAlignment = 32;
constexpr size_t kShownText = 40;

template <typename Number>
Number scalar_in(std::string_view bytes) {
  Number number;
  std::memcpy(&number, bytes.data(), sizeof(Number));
  return number;
}

/// Element `index` of integers of a type of the file. Larger ones than int64_t holds become its
/// largest, which no range allows.
int64_t integer_of(uint32_t type, std::string_view bytes) {
  switch (type) {
    case 0:
      return scalar_in<uint8_t>(bytes);
    case 1:
      return scalar_in<int8_t>(bytes);
    case 2:
      return scalar_in<uint16_t>(bytes);
    case 3:
      return scalar_in<int16_t>(bytes);
    case 4:
      return scalar_in<uint32_t>(bytes);
    case 5:
      return scalar_in<int32_t>(bytes);
    case 10:
      return static_cast<int64_t>(
          std::min<uint64_t>(scalar_in<uint64_t>(bytes), std::numeric_limits<int64_t>::max()));
    default:
      return scalar_in<int64_t>(bytes);
  }
}

constexpr uint32_t kFloat32 = 6;
constexpr uint32_t kFloat64 = 12;

bool is_float_type(uint32_t type) {
  return type == kFloat32 || type == kFloat64;
}
bool is_integer(uint32_t type) {
  return type <= 5 || type == 10 || type == 11;
}

double number_of_type(uint32_t type, std::string_view bytes) {
  return type == kFloat32 ? static_cast<double>(scalar_in<float>(bytes)) : scalar_in<double>(bytes);
}

}  // namespace

double as_written(double value) {
  return std::stod(fmt::format("{}", static_cast<float>(value)));
}

GgufHeader::GgufHeader(std::string_view file, std::string where) : where_(std::move(where)) {
  GgufParser parser(file, where_);
  parser.read_start();
  values_ = parser.read_values();
  const int64_t alignment = integer(kAlignmentKey, 1, int64_t{1} << 30, kDefaultAlignment);
  if (!std::has_single_bit(static_cast<uint64_t>(alignment))) {
    fail(kAlignmentKey, "a power of two");
  }
  tensors_ = parser.read_tensors(static_cast<uint64_t>(alignment));
  data_start_ = parser.data_start();
}

std::string GgufHeader::found_at(const std::string& key) const {
  const GgufValue& value = values_.find(key)->second;
  switch (value.kind) {
    case GgufValue::Kind::kInteger:
      return std::to_string(integer_of(value.type, value.bytes));
    case GgufValue::Kind::kNumber:
      return fmt::format("{}", number_of_type(value.type, value.bytes));
    case GgufValue::Kind::kBoolean:
      return value.bytes[0] != 0 ? "true" : "false";
    case GgufValue::Kind::kString:
      return Json(value.bytes.substr(0, kShownText))
          .dump(-1, ' ', true, Json::error_handler_t::replace);
    case GgufValue::Kind::kArray:
      return fmt::format("an array of {}", value.count);
  }
  return "";
}

void GgufHeader::fail(const std::string& key, const std::string& expected) const {
  if (!has(key)) {
    throw DataError(fmt::format("{}: there is no key {}; expected {}", where_, key, expected));
  }
  throw DataError(fmt::format("{}: {} is {}; expected {}", where_, key, found_at(key), expected));
}

const GgufValue& GgufHeader::at(const std::string& key, const std::string& expected) const {
  const auto found = values_.find(key);
  if (found == values_.end()) fail(key, expected);
  return found->second;
}

int64_t GgufHeader::integer(const std::string& key, int64_t low, int64_t high) const {
  const std::string expected = fmt::format("an integer in [{}, {}]", low, high);
  const GgufValue& value = at(key, expected);
  if (value.kind != GgufValue::Kind::kInteger) fail(key, expected);
  const int64_t number = integer_of(value.type, value.bytes);
  if (number < low || number > high) fail(key, expected);
  return number;
}

int64_t GgufHeader::integer(const std::string& key, int64_t low, int64_t high,
                            int64_t fallback) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double GgufHeader::number(const std::string& key) const {
  const GgufValue& value = at(key, "a number");
  if (value.kind != GgufValue::Kind::kNumber) fail(key, "a number");
  const double number = number_of_type(value.type, value.bytes);
  if (!std::isfinite(number)) fail(key, "a finite number");
  return value.type == kFloat32 ? as_written(number) : number;
}

bool GgufHeader::boolean(const std::string& key) const {
  const GgufValue& value = at(key, "true or false");
  if (value.kind != GgufValue::Kind::kBoolean) fail(key, "true or false");
  return value.bytes[0] != 0;
}

bool GgufHeader::boolean(const std::string& key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

std::string GgufHeader::string(const std::string& key) const {
  const GgufValue& value = at(key, "a text");
  if (value.kind != GgufValue::Kind::kString) fail(key, "a text");
  return std::string(value.bytes);
}

std::string GgufHeader::string(const std::string& key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

bool GgufHeader::is_array(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && found->second.kind == GgufValue::Kind::kArray;
}

const GgufValue& GgufHeader::array(const std::string& key, const std::string& expected) const {
  const GgufValue& value = at(key, expected);
  if (value.kind != GgufValue::Kind::kArray) fail(key, expected);
  return value;
}

std::vector<int64_t> GgufHeader::integers(const std::string& key) const {
  const GgufValue& value = array(key, "a list of integers");
  if (!is_integer(value.type)) fail(key, "a list of integers");
  std::vector<int64_t> numbers(value.count);
  const size_t size = value.count == 0 ? 0 : value.bytes.size() / value.count;
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = integer_of(value.type, value.bytes.substr(i * size, size));
  }
  return numbers;
}

std::vector<double> GgufHeader::numbers(const std::string& key) const {
  const GgufValue& value = array(key, "a list of numbers");
  if (!is_float_type(value.type)) fail(key, "a list of numbers");
  std::vector<double> numbers(value.count);
  const size_t size = value.count == 0 ? 0 : value.bytes.size() / value.count;
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = number_of_type(value.type, value.bytes.substr(i * size, size));
  }
  return numbers;
}

std::vector<std::string_view> GgufHeader::strings(const std::string& key) const {
  constexpr uint32_t kString = 8;
  const GgufValue& value = array(key, "a list of texts");
  if (value.type != kString) fail(key, "a list of texts");
  std::vector<std::string_view> texts;
  texts.reserve(value.count);
  for (std::string_view rest = value.bytes; !rest.empty();) {
    const auto size = scalar_in<uint64_t>(rest);
    texts.push_back(rest.substr(sizeof(size), size));
    rest.remove_prefix(sizeof(size) + size);
  }
  return texts;
}

bool is_gguf_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  if (path.extension() == ".gguf") return true;
  std::array<char, 4> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), start.size()) == "GGUF";
}

std::string sha256_of_gguf_header(const fs::path& path) {
  const MappedFile file(path);
  const GgufHeader header(file.text(), path.string());
  return sha256_of_text(file.text().substr(0, header.data_start()));
}

}  // namespace foregate
