#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/containers/safetensors_header.h"
#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"

namespace foregate::tensor {
namespace {

// Lays the entries out by falling element size; their bytes, in the new order.
std::vector<ByteRange> lay_out(std::vector<TensorEntry>& entries, const std::string& where) {
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return c10::elementSize(a.dtype) > c10::elementSize(b.dtype);
  });
  std::set<std::string_view> names;
  std::vector<ByteRange> bytes;
  uint64_t position = 0;
  for (const TensorEntry& entry : entries) {
    const std::string what = fmt::format("{}: tensor \"{}\"", where, entry.name);
    if (!names.insert(entry.name).second) throw DataError(what + " is to be written twice");
    const uint64_t size = tensor_bytes(entry.shape, c10::elementSize(entry.dtype), what);
    bytes.push_back({position, position + size});
    position += size;
  }
  return bytes;
}

std::vector<TensorRecord> records_of(const std::vector<TensorEntry>& entries,
                                     const std::vector<ByteRange>& bytes) {
  std::vector<TensorRecord> records;
  for (size_t i = 0; i < entries.size(); ++i) {
    records.push_back({entries[i].name, std::string(safetensors_dtype(entries[i].dtype)),
                       entries[i].shape, bytes[i].begin, bytes[i].end});
  }
  return records;
}

std::span<const std::byte> bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

bool rows_fit(const TensorEntry& entry, int64_t first_row, const torch::Tensor& rows) {
  if (rows.scalar_type() != entry.dtype || !rows.is_contiguous() || !rows.device().is_cpu())
    return false;
  if (entry.shape.empty()) return rows.dim() == 0 && first_row == 0;
  const at::IntArrayRef expected(entry.shape);
  return rows.dim() == static_cast<int64_t>(expected.size()) &&
         rows.sizes().slice(1) == expected.slice(1) && first_row >= 0 &&
         first_row <= expected[0] - rows.size(0);
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const fs::path& path, std::vector<TensorEntry> entries,
                                     const std::map<std::string, std::string>& metadata)
    : entries_(std::move(entries)) {
  bytes_ = lay_out(entries_, path.string());
  data_size_ = bytes_.empty() ? 0 : bytes_.back().end;
  const std::string header = make_safetensors_header(records_of(entries_, bytes_), metadata);
  data_start_ = header.size();
  file_ = std::make_unique<AtomicFile>(path);
  file_->append(header);
  // The file gets its full length now, so that rows nobody writes are zeros, not a truncation.
  if (data_size_ > 0) file_->write_at(file_size() - 1, std::array<std::byte, 1>{});
}

void SafetensorsWriter::write_rows(std::string_view name, int64_t first_row,
                                   const torch::Tensor& rows) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const TensorEntry& e) { return e.name == name; });
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
  if (rows.numel() == 0) return;
  // A scalar is its own row.
  const uint64_t row_bytes =
      rows.nbytes() / static_cast<uint64_t>(rows.dim() == 0 ? 1 : rows.size(0));
  const ByteRange& bytes = bytes_[static_cast<size_t>(entry - entries_.begin())];
  file_->write_at(data_start_ + bytes.begin + static_cast<uint64_t>(first_row) * row_bytes,
                  bytes_of(rows));
}

void SafetensorsWriter::commit() {
  file_->commit();
}

void write_safetensors(const fs::path& path,
                       const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> entries;
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
