#include "tensor/safetensors.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "tensor/safetensors_header.h"

namespace foregate {

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(std::make_shared<MappedFile>(path)) {
  SafetensorsHeader header = parse_safetensors_header(file_->text(), path.string());
  data_start_ = header.data_start;
  entries_ = std::move(header.entries);
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
  if (entry == nullptr) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<uintptr_t>(file_->bytes().data()) + data_start_;
  // Pages shared with a neighbour stay.
  const uintptr_t begin = (base + entry->begin + page - 1) / page * page;
  const uintptr_t end = (base + entry->end) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace foregate
