#include "tensor/files/safetensors.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/safetensors_header.h"
#include "tensor/dtype.h"

namespace foregate::tensor {
namespace {

SafetensorsEntry entry_of(TensorRecord record) {
  // Whatever dtype the header's parser knows, libtorch knows too.
  const torch::ScalarType dtype = dtype_from_safetensors(record.dtype).value();
  return {std::move(record.name), dtype, std::move(record.shape), record.begin, record.end};
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(std::make_shared<MappedFile>(path)) {
  SafetensorsHeader header = parse_safetensors_header(file_->text(), path.string());
  data_start_ = header.data_start;
  entries_.reserve(header.tensors.size());
  for (TensorRecord& record : header.tensors) entries_.push_back(entry_of(std::move(record)));
  metadata_ = std::move(header.metadata);
  for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].name, i);
}

bool SafetensorsFile::contains(std::string_view name) const {
  return find(name) != nullptr;
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

torch::Tensor SafetensorsFile::tensor(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry == nullptr) {
    throw DataError(fmt::format("{}: there is no tensor \"{}\" among its {}", path().string(), name,
                                entries_.size()));
  }
  const auto options = torch::TensorOptions().dtype(entry->dtype);
  if (entry->begin == entry->end) return torch::empty(entry->shape, options);
  const std::byte* data = file_->bytes().data() + data_start_ + entry->begin;
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(entry->dtype) != 0) {
    torch::Tensor copy = torch::empty(entry->shape, options);
    std::memcpy(copy.data_ptr(), data, entry->end - entry->begin);
    return copy;
  }
  // from_blob wants a writable pointer; the mapping is read-only, and nobody writes to weights.
  return torch::from_blob(
      const_cast<std::byte*>(data), entry->shape, [file = file_](void*) {}, options);
}

void SafetensorsFile::release_pages(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry != nullptr) release(entry->begin, entry->end);
}

void SafetensorsFile::release_rows(std::string_view name, int64_t first_row, int64_t rows) const {
  const SafetensorsEntry* entry = find(name);
  if (entry == nullptr || entry->shape.empty() || entry->shape[0] == 0) return;
  const uint64_t row_bytes = (entry->end - entry->begin) / static_cast<uint64_t>(entry->shape[0]);
  const uint64_t begin = entry->begin + static_cast<uint64_t>(first_row) * row_bytes;
  release(begin, begin + static_cast<uint64_t>(rows) * row_bytes);
}

void SafetensorsFile::release(uint64_t begin, uint64_t end) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(file_->bytes().data()) + data_start_;
  // The first page may be shared with what lies in front, which has been read by then or is read
  // again; the last one with what comes next, which stays.
  const uintptr_t first = (base + begin) / page * page;
  const uintptr_t last = (base + end) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace foregate::tensor
