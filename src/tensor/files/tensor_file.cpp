#include "tensor/files/tensor_file.h"

#include <fmt/core.h>

#include "base/error.h"

namespace foregate::tensor {

const TensorEntry* TensorFile::find(std::string_view name) const {
  const std::optional<size_t> number = find_number(name);
  return number ? &entries_[*number] : nullptr;
}

bool TensorFile::add_entry(TensorEntry entry) {
  if (!index_.emplace(entry.name, entries_.size()).second) return false;
  entries_.push_back(std::move(entry));
  return true;
}

std::optional<size_t> TensorFile::find_number(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

size_t TensorFile::number_of(std::string_view name) const {
  const std::optional<size_t> number = find_number(name);
  if (!number) {
    throw DataError(fmt::format("{}: there is no tensor \"{}\" among its {}", path().string(), name,
                                entries_.size()));
  }
  return *number;
}

}  // namespace foregate::tensor
