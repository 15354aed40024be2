#include "scoring/weight_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace foregate::scoring {

WeightFile::WeightFile(const fs::path& path, const std::string& sha256) : file_(path) {
  header_ = parse_safetensors_header(file_.text(), path.string());
  for (const TensorRecord& record : header_.tensors) records_.emplace(record.name, &record);
  Sha256 hash;
  hash.update(file_.bytes());
  if (const std::string found = hash.hex_digest(); found != sha256) {
    throw DataError(
        fmt::format("{}: SHA-256 is {}, predictor.json says {}; the two do not belong together, "
                    "train the predictor again",
                    path.string(), found, sha256));
  }
}

const TensorRecord& WeightFile::find(const char* name) const {
  const auto found = records_.find(name);
  if (found != records_.end()) return *found->second;
  throw DataError(
      fmt::format("{}: tensor \"{}\" is missing; train the predictor again", where(), name));
}

int64_t WeightFile::size(const char* name, size_t dimensions, size_t dimension) const {
  const TensorRecord& record = find(name);
  if (record.shape.size() == dimensions) return record.shape[dimension];
  throw DataError(fmt::format("{}: tensor \"{}\" has the shape [{}]; expected {} dimensions",
                              where(), name, fmt::join(record.shape, ", "), dimensions));
}

const void* WeightFile::data(const char* name, const char* dtype,
                             const std::vector<int64_t>& shape) {
  const TensorRecord& record = find(name);
  bool fits = record.dtype == dtype && record.shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] == -1 || shape[i] == record.shape[i];
  }
  if (!fits) {
    throw DataError(fmt::format(
        "{}: tensor \"{}\" is {} [{}]; expected {} [{}] (-1: any); train the predictor again",
        where(), name, record.dtype, fmt::join(record.shape, ", "), dtype, fmt::join(shape, ", ")));
  }
  const std::byte* begin = file_.bytes().data() + header_.data_start + record.begin;
  const uint64_t element_size = safetensors_element_size(dtype);
  if (reinterpret_cast<uintptr_t>(begin) % element_size == 0) return begin;
  const size_t bytes = record.end - record.begin;
  copies_.push_back(std::make_unique<std::byte[]>(bytes));
  std::memcpy(copies_.back().get(), begin, bytes);
  return copies_.back().get();
}

const float* WeightFile::floats(const char* name, const std::vector<int64_t>& shape) {
  return static_cast<const float*>(data(name, "F32", shape));
}

const int64_t* WeightFile::long_integers(const char* name, const std::vector<int64_t>& shape) {
  return static_cast<const int64_t*>(data(name, "I64", shape));
}

const int32_t* WeightFile::integers(const char* name, const std::vector<int64_t>& shape) {
  return static_cast<const int32_t*>(data(name, "I32", shape));
}

const int16_t* WeightFile::short_integers(const char* name, const std::vector<int64_t>& shape) {
  return static_cast<const int16_t*>(data(name, "I16", shape));
}

}  // namespace foregate::scoring
