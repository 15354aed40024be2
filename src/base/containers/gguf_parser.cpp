#include "base/containers/gguf_parser.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/containers/safetensors_header.h"
#include "base/error.h"
#include "base/json.h"
#include "base/stand_in.h"

namespace foregate {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kVersion = 3;
constexpr uint64_t kMaxNameBytes = 65535;
constexpr uint32_t kMaxDimensions = 4;

// The fewest bytes that a pair of key and value, and what describes a tensor, can take.
constexpr uint64_t kLeastValueBytes = 8 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;

constexpr uint32_t kStringType = 8;
constexpr uint32_t kArrayType = 9;

struct ScalarType {
  GgufValue::Kind kind;
  uint32_t bytes;
};

/// By the number that the file has for it; strings and arrays have no size of their own.
constexpr std::array<ScalarType, 13> kScalars{{{GgufValue::Kind::kInteger, 1},
                                               {GgufValue::Kind::kInteger, 1},
                                               {GgufValue::Kind::kInteger, 2},
                                               {GgufValue::Kind::kInteger, 2},
                                               {GgufValue::Kind::kInteger, 4},
                                               {GgufValue::Kind::kInteger, 4},
                                               {GgufValue::Kind::kNumber, 4},
                                               {GgufValue::Kind::kBoolean, 1},
                                               {GgufValue::Kind::kString, 0},
                                               {GgufValue::Kind::kArray, 0},
                                               {GgufValue::Kind::kInteger, 8},
                                               {GgufValue::Kind::kInteger, 8},
                                               {GgufValue::Kind::kNumber, 8}}};

/// A name as errors show it: whatever is in the file, on one line.
std::string shown_name(std::string_view name) {
  return Json(name).dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace

void GgufParser::fail(const std::string& what) const {
  throw DataError(fmt::format("{}: {}", where_, what));
}

std::string_view GgufParser::take(uint64_t size, const std::string& what) {
  if (size > file_.size() - position_) {
    fail(fmt::format(
        "{} at offset {} should have {} bytes, but the file ends after {}; the file is truncated "
        "or broken, download it again",
        what, position_, size, file_.size() - position_));
  }
  const std::string_view bytes = file_.substr(position_, size);
  position_ += size;
  return bytes;
}

template <typename Number>
Number GgufParser::read(const char* what) {
  Number number = 0;
  std::memcpy(&number, take(sizeof(Number), what).data(), sizeof(Number));
  return number;
}

std::string_view GgufParser::read_string(const std::string& what) {
  const auto size = read<uint64_t>("the length of a text");
  return take(size, what);
}

std::string GgufParser::read_name(const std::string& what) {
  const std::string_view name = read_string(what);
  if (name.empty() || name.size() > kMaxNameBytes) {
    fail(fmt::format("{} at offset {} has {} bytes; expected 1 to {}; the file is broken", what,
                     position_ - name.size(), name.size(), kMaxNameBytes));
  }
  return std::string(name);
}

void GgufParser::read_start() {
  refuse_web_page(file_, where_);
  if (!file_.starts_with(kMagic)) {
    fail(fmt::format("the file begins with {}; expected \"{}\": it is no GGUF file",
                     shown_name(file_.substr(0, kMagic.size())), kMagic));
  }
  position_ = kMagic.size();
  const auto version = read<uint32_t>("the version");
  if (version < kOldestVersion || version > kVersion) {
    // Written on a machine of the other byte order, the number is turned around.
    const bool turned = (version & 0xffff) == 0 && version != 0;
    fail(fmt::format("the version is {}; expected {} or {}{}", version, kOldestVersion, kVersion,
                     turned ? ": big-endian files are not supported" : ""));
  }
  num_tensors_ = read<uint64_t>("the number of tensors");
  num_values_ = read<uint64_t>("the number of keys");
  const uint64_t left = file_.size() - position_;
  if (num_values_ > left / kLeastValueBytes || num_tensors_ > left / kLeastTensorBytes) {
    fail(
        fmt::format("the header speaks of {} keys and {} tensors, more than a file of {} bytes can "
                    "have; it is truncated or broken, download it again",
                    num_values_, num_tensors_, file_.size()));
  }
}

GgufValue GgufParser::read_array(const std::string& what) {
  GgufValue value{.kind = GgufValue::Kind::kArray};
  value.type = read<uint32_t>("the type of an array");
  value.count = read<uint64_t>("the length of an array");
  if (value.type >= kScalars.size() || value.type == kArrayType) {
    fail(fmt::format("{} is an array of type {}, which is not supported", what, value.type));
  }
  const uint64_t least = value.type == kStringType ? 8 : kScalars[value.type].bytes;
  if (value.count > (file_.size() - position_) / least) {
    fail(fmt::format(
        "{} at offset {} should have {} elements, but the file ends after {} bytes; the file is "
        "truncated or broken, download it again",
        what, position_, value.count, file_.size() - position_));
  }
  const uint64_t begin = position_;
  if (value.type == kStringType) {
    for (uint64_t i = 0; i < value.count; ++i) read_string(what);
  } else {
    take(value.count * least, what);
  }
  value.bytes = file_.substr(begin, position_ - begin);
  return value;
}

GgufValue GgufParser::read_value(uint32_t type, const std::string& what) {
  if (type == kArrayType) return read_array(what);
  if (type >= kScalars.size()) {
    fail(
        fmt::format("{} is of type {}, which is not known; the file is broken, or newer than this "
                    "program",
                    what, type));
  }
  GgufValue value{.kind = kScalars[type].kind, .type = type};
  value.bytes = type == kStringType ? read_string(what) : take(kScalars[type].bytes, what);
  return value;
}

std::map<std::string, GgufValue, std::less<>> GgufParser::read_values() {
  std::map<std::string, GgufValue, std::less<>> values;
  for (uint64_t i = 0; i < num_values_; ++i) {
    std::string key = read_name("a key");
    const auto type = read<uint32_t>("the type of a value");
    const GgufValue value = read_value(type, shown_name(key));
    if (!values.emplace(std::move(key), value).second) {
      fail(fmt::format("key number {} comes twice; the file is broken", i));
    }
  }
  return values;
}

GgufTensor GgufParser::read_tensor() {
  GgufTensor tensor;
  tensor.name = read_name("a tensor's name");
  const std::string what = "tensor " + shown_name(tensor.name);
  const auto dimensions = read<uint32_t>("the number of dimensions");
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    fail(fmt::format("{} has {} dimensions; expected 1 to {}; the file is broken", what, dimensions,
                     kMaxDimensions));
  }
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = read<int64_t>("a dimension");
    if (size < 1) {
      fail(fmt::format("{} has a dimension of {}; expected at least 1; the file is broken", what,
                       size));
    }
    tensor.shape.push_back(size);
  }
  const auto code = read<uint32_t>("a tensor's type");
  tensor.type = find_gguf_type(code);
  if (tensor.type == nullptr) {
    fail(fmt::format(
        "{} is of type {}, which is not known; the file is broken, or newer than this program",
        what, code));
  }
  if (tensor.shape[0] % tensor.type->block_values != 0) {
    fail(fmt::format("{} has rows of {} values; {} keeps them in blocks of {}; the file is broken",
                     what, tensor.shape[0], tensor.type->name, tensor.type->block_values));
  }
  std::vector<int64_t> blocks = tensor.shape;
  blocks[0] /= tensor.type->block_values;
  tensor.begin = read<uint64_t>("a tensor's offset");
  tensor.end = tensor_bytes(blocks, tensor.type->block_bytes, where_ + ": " + what);
  std::ranges::reverse(tensor.shape);
  return tensor;
}

// So far `begin` is the offset behind the header and `end` the size.
void GgufParser::place_tensors(std::vector<GgufTensor>& tensors, uint64_t alignment) {
  const uint64_t padding = (alignment - position_ % alignment) % alignment;
  // A file of metadata alone may end without it.
  data_start_ = tensors.empty() ? position_ : position_ + padding;
  const uint64_t room = file_.size() - std::min<uint64_t>(data_start_, file_.size());
  for (GgufTensor& tensor : tensors) {
    if (tensor.begin % alignment != 0) {
      fail(fmt::format("tensor {} begins at data offset {}, no multiple of {}; the file is broken",
                       shown_name(tensor.name), tensor.begin, alignment));
    }
    if (tensor.begin > room || tensor.end > room - tensor.begin) {
      fail(
          fmt::format("tensor {} should have {} bytes from data offset {} on, but {} bytes follow "
                      "the header; the file is truncated, download it again",
                      shown_name(tensor.name), tensor.end, tensor.begin, room));
    }
    tensor.begin += data_start_;
    tensor.end += tensor.begin;
  }
  std::ranges::stable_sort(tensors, {}, &GgufTensor::begin);
  for (size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i].begin < tensors[i - 1].end) {
      fail(fmt::format("the bytes of tensors {} and {} overlap; the file is broken",
                       shown_name(tensors[i - 1].name), shown_name(tensors[i].name)));
    }
  }
}

std::vector<GgufTensor> GgufParser::read_tensors(uint64_t alignment) {
  std::vector<GgufTensor> tensors;
  std::set<std::string, std::less<>> names;
  for (uint64_t i = 0; i < num_tensors_; ++i) {
    tensors.push_back(read_tensor());
    if (!names.insert(tensors.back().name).second) {
      fail(fmt::format("tensor {} comes twice; the file is broken",
                       shown_name(tensors.back().name)));
    }
  }
  place_tensors(tensors, alignment);
  return tensors;
}

}  // namespace foregate
