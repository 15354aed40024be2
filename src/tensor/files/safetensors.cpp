#include "tensor/files/safetensors.h"

#include <fmt/core.h>

#include "base/containers/safetensors_header.h"
#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/files/mapped_pages.h"

namespace foregate::tensor {

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(std::make_shared<MappedFile>(path)) {
  SafetensorsHeader header = parse_safetensors_header(file_->text(), path.string());
  data_start_ = header.data_start;
  for (TensorRecord& record : header.tensors) {
    // Whatever dtype the header's parser knows, libtorch knows too.
    const torch::ScalarType dtype = dtype_from_safetensors(record.dtype).value();
    add_entry({std::move(record.name), dtype, std::move(record.shape)});
    bytes_.push_back({record.begin, record.end});
  }
  metadata_ = std::move(header.metadata);
}

// Bytes of a row of the first dimension.
uint64_t SafetensorsFile::row_bytes(size_t number) const {
  const std::vector<int64_t>& shape = entries()[number].shape;
  if (shape.empty() || shape[0] == 0) return 0;
  return (bytes_[number].end - bytes_[number].begin) / static_cast<uint64_t>(shape[0]);
}

torch::Tensor SafetensorsFile::view(torch::ScalarType dtype, const std::vector<int64_t>& shape,
                                    ByteRange bytes) const {
  const auto options = torch::TensorOptions().dtype(dtype);
  if (bytes.begin == bytes.end) return torch::empty(shape, options);
  const std::byte* data = file_->bytes().data() + data_start_ + bytes.begin;
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(dtype) != 0) {
    torch::Tensor copy = torch::empty(shape, options);
    std::memcpy(copy.data_ptr(), data, bytes.end - bytes.begin);
    return copy;
  }
  // from_blob wants a writable pointer; the mapping is read-only, and nobody writes to weights.
  return torch::from_blob(
      const_cast<std::byte*>(data), shape, [file = file_](void*) {}, options);
}

torch::Tensor SafetensorsFile::tensor(std::string_view name) const {
  const size_t number = number_of(name);
  return view(entries()[number].dtype, entries()[number].shape, bytes_[number]);
}

torch::Tensor SafetensorsFile::rows(std::string_view name, int64_t first, int64_t count) const {
  const size_t number = number_of(name);
  std::vector<int64_t> shape = entries()[number].shape;
  TORCH_CHECK(!shape.empty() && first >= 0 && count >= 0 && first <= shape[0] - count, path(),
              ": rows ", first, " + ", count, " of tensor \"", name, "\" ", shape);
  shape[0] = count;
  const uint64_t begin = bytes_[number].begin + static_cast<uint64_t>(first) * row_bytes(number);
  return view(entries()[number].dtype, shape,
              {begin, begin + static_cast<uint64_t>(count) * row_bytes(number)});
}

void SafetensorsFile::release_rows(std::string_view name, int64_t first, int64_t count) const {
  const std::optional<size_t> number = find_number(name);
  if (!number) return;
  const uint64_t bytes = row_bytes(*number);
  const uint64_t begin = bytes_[*number].begin + static_cast<uint64_t>(first) * bytes;
  release({begin, begin + static_cast<uint64_t>(count) * bytes});
}

void SafetensorsFile::release_pages(std::string_view name) const {
  if (const std::optional<size_t> number = find_number(name)) release(bytes_[*number]);
}

void SafetensorsFile::release(ByteRange bytes) const {
  release_mapped_bytes(*file_, data_start_ + bytes.begin, data_start_ + bytes.end);
}

}  // namespace foregate::tensor
