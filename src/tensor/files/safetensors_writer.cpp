#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/safetensors_header.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"

namespace foregate::tensor {
namespace {

uint64_t assign_offsets(std::vector<SafetensorsEntry>& entries, const std::string& where) {
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return c10::elementSize(a.dtype) > c10::elementSize(b.dtype);
  });
  std::set<std::string_view> names;
  uint64_t position = 0;
  for (SafetensorsEntry& entry : entries) {
    const std::string what = fmt::format("{}: tensor \"{}\"", where, entry.name);
    if (!names.insert(entry.name).second) throw DataError(what + " is to be written twice");
    entry.begin = position;
    entry.end = position += tensor_bytes(entry.shape, c10::elementSize(entry.dtype), what);
  }
  return position;
}

std::vector<TensorRecord> records_of(const std::vector<SafetensorsEntry>& entries) {
  std::vector<TensorRecord> records;
  for (const SafetensorsEntry& entry : entries) {
    const std::string dtype(safetensors_dtype(entry.dtype));
    records.push_back({entry.name, dtype, entry.shape, entry.begin, entry.end});
  }
  return records;
}

std::span<const std::byte> bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

// Row bytes of an entry; a scalar is one row.
uint64_t row_bytes(const SafetensorsEntry& entry) {
  const int64_t rows = entry.shape.empty() ? 1 : entry.shape[0];
  return rows == 0 ? 0 : (entry.end - entry.begin) / static_cast<uint64_t>(rows);
}

bool rows_fit(const SafetensorsEntry& entry, int64_t first_row, const torch::Tensor& rows) {
  if (rows.scalar_type() != entry.dtype || !rows.is_contiguous() || !rows.device().is_cpu())
    return false;
  if (entry.shape.empty()) return rows.dim() == 0 && first_row == 0;
  const at::IntArrayRef expected(entry.shape);
  return rows.dim() == static_cast<int64_t>(expected.size()) &&
         rows.sizes().slice(1) == expected.slice(1) && first_row >= 0 &&
         first_row <= expected[0] - rows.size(0);
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const fs::path& path, std::vector<SafetensorsEntry> entries,
                                     const std::map<std::string, std::string>& metadata)
    : entries_(std::move(entries)) {
  data_size_ = assign_offsets(entries_, path.string());
  const std::string header = make_safetensors_header(records_of(entries_), metadata);
  data_start_ = header.size();
  file_ = std::make_unique<AtomicFile>(path);
  file_->append(header);
  // The file gets its full length now, so that rows nobody writes are zeros, not a truncation.
  if (data_size_ > 0) file_->write_at(file_size() - 1, std::array<std::byte, 1>{});
}

void SafetensorsWriter::write_rows(std::string_view name, int64_t first_row,
                                   const torch::Tensor& rows) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const SafetensorsEntry& e) { return e.name == name; });
  if (entry == entries_.end()) {
    throw DataError(
        fmt::format("{}: no tensor \"{}\" was announced", file_->path().string(), name));
  }
  if (!rows_fit(*entry, first_row, rows)) {
    throw DataError(
        fmt::format("{}: tensor \"{}\" is {} [{}]; rows from {} of {} [{}] do not fit it as "
                    "contiguous CPU data",
                    file_->path().string(), name, safetensors_dtype(entry->dtype),
                    fmt::join(entry->shape, ", "), first_row, c10::toString(rows.scalar_type()),
                    fmt::join(rows.sizes(), ", ")));
  }
  const uint64_t offset =
      data_start_ + entry->begin + static_cast<uint64_t>(first_row) * row_bytes(*entry);
  if (rows.numel() > 0) file_->write_at(offset, bytes_of(rows));
}

void SafetensorsWriter::commit() {
  file_->commit();
}

void write_safetensors(const fs::path& path,
                       const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({.name = name, .dtype = tensor.scalar_type(), .shape = tensor.sizes().vec()});
  }
  SafetensorsWriter writer(path, std::move(entries), metadata);
  for (const auto& [name, tensor] : tensors) {
    writer.write_rows(name, 0, tensor.cpu().contiguous());
  }
  writer.commit();
}

}  // namespace foregate::tensor
