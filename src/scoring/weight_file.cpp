#include "scoring/weight_file.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace foregate::scoring {

WeightFile::WeightFile(const fs::path& path, const std::string& sha256) : file_(path) {
  header_ = parse_safetensors_header(file_.text(), path.string());
  for (const TensorRecord& record : header_.tensors) {
    entries_.emplace(record.name, entry_of(record));
  }
  Sha256 hash;
  hash.update(file_.bytes());
  if (const std::string found = hash.hex_digest(); found != sha256) {
    throw DataError(
        fmt::format("{}: SHA-256 is {}, predictor.json says {}; the two do not belong together, "
                    "train the predictor again",
                    path.string(), found, sha256));
  }
}

WeightFile::Entry WeightFile::entry_of(const TensorRecord& record) const {
  const std::byte* begin = file_.bytes().data() + header_.data_start + record.begin;
  const uint64_t element_size = safetensors_element_size(record.dtype);
  if (reinterpret_cast<uintptr_t>(begin) % element_size == 0) return {&record, begin, nullptr};
  const size_t bytes = record.end - record.begin;
  Entry entry{&record, nullptr, std::make_unique<std::byte[]>(bytes)};
  std::memcpy(entry.copy.get(), begin, bytes);
  entry.data = entry.copy.get();
  return entry;
}

TensorView WeightFile::get(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail_missing(name);
  const Entry& entry = found->second;
  return {entry.record->dtype, entry.record->shape, entry.data};
}

}  // namespace foregate::scoring
