#include "base/containers/safetensors_header.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/stand_in.h"

namespace foregate {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");

constexpr uint64_t kSizeBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as in the reference implementation
constexpr uint64_t kAlignment = 8;

struct Dtype {
  std::string_view name;
  uint64_t element_size;
};

// https://github.com/huggingface/safetensors, safetensors/src/tensor.rs, Dtype
constexpr std::array<Dtype, 17> kDtypes = {{
    {"F64", 8},
    {"F32", 4},
    {"F16", 2},
    {"BF16", 2},
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},
    {"U64", 8},
    {"U32", 4},
    {"U16", 2},
    {"U8", 1},
    {"BOOL", 1},
    {"C64", 8},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
}};

// nlohmann-json silently keeps one of two equal keys; a checkpoint that says two things is broken.
// Not our ordered Json, whose look-up is linear: a header may have a hundred thousand keys.
nlohmann::json parse_unique_keys(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int /*depth*/, nlohmann::json::parse_event_t event,
                         nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) {
      throw DataError(fmt::format("{}: the header has the key {} twice; the file is broken", where,
                                  value.dump(-1, ' ', true)));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format(
        "{}: the header of {} bytes at offset {} is not valid JSON ({}); the file is broken", where,
        text.size(), kSizeBytes, error.what()));
  }
}

std::string_view header_text(std::string_view file, const std::string& where) {
  refuse_web_page(file, where);
  if (file.size() < kSizeBytes) {
    throw DataError(fmt::format(
        "{}: {} bytes is too small for a safetensors file, which starts with an 8-byte header size",
        where, file.size()));
  }
  uint64_t size = 0;
  std::memcpy(&size, file.data(), kSizeBytes);
  if (size > kMaxHeaderBytes) {
    throw DataError(fmt::format(
        "{}: the header size at offset 0 is {}, more than the {} allowed; not a safetensors file",
        where, size, kMaxHeaderBytes));
  }
  if (size > file.size() - kSizeBytes) {
    throw DataError(
        fmt::format("{}: the header should have {} bytes, but the file ends after {}; "
                    "the file is truncated",
                    where, size, file.size() - kSizeBytes));
  }
  return file.substr(kSizeBytes, size);
}

std::vector<int64_t> parse_shape(const JsonReader& reader) {
  std::vector<int64_t> shape = reader.integers("shape");
  for (const int64_t dim : shape) {
    if (dim < 0) reader.fail("shape", "a list of non-negative integers");
  }
  return shape;
}

void parse_offsets(const JsonReader& reader, TensorRecord& record) {
  const std::vector<int64_t> offsets = reader.integers("data_offsets");
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0]) {
    reader.fail("data_offsets", "[begin, end] with 0 <= begin <= end");
  }
  record.begin = static_cast<uint64_t>(offsets[0]);
  record.end = static_cast<uint64_t>(offsets[1]);
}

TensorRecord parse_record(const std::string& name, const Json& json, const std::string& where) {
  const std::string what = fmt::format("{}: tensor {}", where, Json(name).dump(-1, ' ', true));
  const JsonReader reader(json, what);
  TensorRecord record;
  record.name = name;
  record.dtype = reader.string("dtype");
  const uint64_t element_size = safetensors_element_size(record.dtype);
  if (element_size == 0) {
    reader.fail(
        "dtype",
        "F64, F32, F16, BF16, F8_E4M3, F8_E5M2, F8_E8M0, C64, I8 to I64, U8 to U64 or BOOL");
  }
  record.shape = parse_shape(reader);
  parse_offsets(reader, record);
  const uint64_t expected = tensor_bytes(record.shape, element_size, what);
  if (record.end - record.begin != expected) {
    throw DataError(
        fmt::format("{}: shape [{}] of {} takes {} bytes, but data_offsets [{}, {}] give {}; the "
                    "file is broken",
                    what, fmt::join(record.shape, ", "), record.dtype, expected, record.begin,
                    record.end, record.end - record.begin));
  }
  return record;
}

std::map<std::string, std::string> parse_metadata(const Json& json, const std::string& where) {
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : JsonReader(json, where).json().items()) {
    if (!value.is_string()) {
      throw DataError(fmt::format("{}: key {} has a value that is not a string", where,
                                  Json(key).dump(-1, ' ', true)));
    }
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// Tensors follow each other without gap to the end of the file: anything else hides bytes or reads
// some twice.
void check_layout(const std::vector<TensorRecord>& tensors, uint64_t data_size,
                  const std::string& where) {
  uint64_t position = 0;
  for (const TensorRecord& record : tensors) {
    if (record.begin != position) {
      throw DataError(
          fmt::format("{}: tensor {} begins at data offset {}, but the data before it ends at {} "
                      "({}); the file "
                      "is broken",
                      where, Json(record.name).dump(-1, ' ', true), record.begin, position,
                      record.begin < position ? "overlap" : "hole"));
    }
    position = record.end;
  }
  if (position != data_size) {
    throw DataError(fmt::format(
        "{}: the tensors take {} bytes, but {} follow the header; the file {}, download it again",
        where, position, data_size,
        data_size < position ? "is truncated" : "has stray bytes at its end"));
  }
}

}  // namespace

uint64_t safetensors_element_size(std::string_view dtype) {
  for (const Dtype& known : kDtypes) {
    if (known.name == dtype) return known.element_size;
  }
  return 0;
}

uint64_t tensor_bytes(const std::vector<int64_t>& shape, uint64_t element_size,
                      const std::string& what) {
  // Empty dimensions count as 1 so that strides cannot overflow either.
  auto bytes = static_cast<int64_t>(element_size);
  bool empty = false;
  for (const int64_t dim : shape) {
    empty = empty || dim == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(dim, 1), &bytes)) {
      throw DataError(
          fmt::format("{}: shape [{}] has more bytes than a file can; the file is broken", what,
                      fmt::join(shape, ", ")));
    }
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& where) {
  const std::string_view text = header_text(file, where);
  const nlohmann::json json = parse_unique_keys(text, where);
  if (!json.is_object()) {
    throw DataError(fmt::format("{}: the header is not a JSON object; the file is broken", where));
  }
  SafetensorsHeader header;
  header.data_start = kSizeBytes + text.size();
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (value.is_null()) continue;  // as the reference implementation reads it
      header.metadata = parse_metadata(Json(value), where + ": __metadata__");
    } else {
      header.tensors.push_back(parse_record(name, Json(value), where));
    }
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_layout(header.tensors, file.size() - header.data_start, where);
  return header;
}

std::string make_safetensors_header(const std::vector<TensorRecord>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  Json json = Json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  for (const TensorRecord& record : tensors) {
    json[record.name] = {{"dtype", record.dtype},
                         {"shape", record.shape},
                         {"data_offsets", {record.begin, record.end}}};
  }
  std::string text = json.dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  const uint64_t size = text.size();
  std::string header(kSizeBytes, '\0');
  std::memcpy(header.data(), &size, kSizeBytes);
  return header + text;
}

}  // namespace foregate
