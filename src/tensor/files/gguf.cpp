#include "tensor/files/gguf.h"

#include <ATen/Parallel.h>
#include <fmt/core.h>

#include <cstring>
#include <optional>

#include "base/error.h"
#include "tensor/files/mapped_pages.h"

namespace foregate::tensor {
namespace {

// Values that one thread decodes at a time.
constexpr int64_t kGrain = int64_t{1} << 15;

std::optional<torch::ScalarType> float_type(const GgufType& type) {
  if (type.name == "F32") return torch::kFloat32;
  if (type.name == "F16") return torch::kFloat16;
  if (type.name == "BF16") return torch::kBFloat16;
  return std::nullopt;
}

int64_t num_vectors(const std::vector<int64_t>& shape) {
  return c10::multiply_integers(shape.begin(), shape.end() - 1);
}

/// How many vectors lie in a row of the first dimension; a tensor of one dimension is one vector.
int64_t vectors_per_row(const std::vector<int64_t>& shape) {
  return shape.size() == 1 ? 1 : num_vectors(shape) / shape[0];
}

}  // namespace

GgufFile::GgufFile(const fs::path& path)
    : file_(std::make_shared<MappedFile>(path)), header_(file_->text(), path.string()) {
  for (const GgufTensor& tensor : header_.tensors()) {
    const std::optional<torch::ScalarType> floats = float_type(*tensor.type);
    const GgufDecoder decoder = find_gguf_decoder(*tensor.type);
    if (!floats && decoder == nullptr) {
      throw DataError(
          fmt::format("{}: tensor \"{}\" is kept as {}; the types supported are F32, F16, BF16, {}",
                      path.string(), tensor.name, tensor.type->name, decoded_gguf_types()));
    }
    add_entry({tensor.name, floats.value_or(torch::kFloat32), tensor.shape});
    decoders_.push_back(floats ? nullptr : decoder);
  }
}

uint64_t GgufFile::vector_bytes(size_t number) const {
  const GgufTensor& tensor = header_.tensors()[number];
  return static_cast<uint64_t>(tensor.shape.back()) / tensor.type->block_values *
         tensor.type->block_bytes;
}

const std::byte* GgufFile::vector_data(size_t number, int64_t first) const {
  return file_->bytes().data() + header_.tensors()[number].begin +
         static_cast<uint64_t>(first) * vector_bytes(number);
}

torch::Tensor GgufFile::read(size_t number, int64_t first, int64_t count,
                             const std::vector<int64_t>& shape) const {
  const auto options = torch::TensorOptions().dtype(entries()[number].dtype);
  const std::byte* data = vector_data(number, first);
  const uint64_t bytes = vector_bytes(number);
  const GgufDecoder decode = decoders_[number];
  if (decode == nullptr) {
    if (reinterpret_cast<uintptr_t>(data) % options.dtype().itemsize() != 0) {
      torch::Tensor copy = torch::empty(shape, options);
      std::memcpy(copy.data_ptr(), data, static_cast<uint64_t>(count) * bytes);
      return copy;
    }
    // from_blob wants a writable pointer; the mapping is read-only, and nobody writes to weights.
    return torch::from_blob(
        const_cast<std::byte*>(data), shape, [file = file_](void*) {}, options);
  }
  torch::Tensor values = torch::empty(shape, options);
  auto* out = values.data_ptr<float>();
  const int64_t length = entries()[number].shape.back();
  const int64_t blocks = length / header_.tensors()[number].type->block_values;
  at::parallel_for(0, count, std::max<int64_t>(1, kGrain / length),
                   [&](int64_t begin, int64_t end) {
                     decode(data + static_cast<uint64_t>(begin) * bytes, (end - begin) * blocks,
                            out + begin * length);
                   });
  return values;
}

torch::Tensor GgufFile::tensor(std::string_view name) const {
  const size_t number = number_of(name);
  const std::vector<int64_t>& shape = entries()[number].shape;
  return read(number, 0, num_vectors(shape), shape);
}

torch::Tensor GgufFile::vectors(std::string_view name, int64_t first, int64_t count) const {
  const size_t number = number_of(name);
  const std::vector<int64_t>& shape = entries()[number].shape;
  TORCH_CHECK(first >= 0 && count >= 0 && first <= num_vectors(shape) - count, path(), ": vectors ",
              first, " + ", count, " of tensor \"", name, "\" ", shape);
  return read(number, first, count, {count, shape.back()});
}

torch::Tensor GgufFile::rows(std::string_view name, int64_t first, int64_t count) const {
  const size_t number = number_of(name);
  std::vector<int64_t> shape = entries()[number].shape;
  TORCH_CHECK(first >= 0 && count >= 0 && first <= shape[0] - count, path(), ": rows ", first,
              " + ", count, " of tensor \"", name, "\" ", shape);
  if (shape.size() == 1) return tensor(name).narrow(0, first, count);
  const int64_t per_row = vectors_per_row(shape);
  shape[0] = count;
  return read(number, first * per_row, count * per_row, shape);
}

void GgufFile::release_vectors(std::string_view name, int64_t first, int64_t count) const {
  const std::optional<size_t> number = find_number(name);
  if (!number) return;
  const uint64_t bytes = vector_bytes(*number);
  const uint64_t begin = header_.tensors()[*number].begin + static_cast<uint64_t>(first) * bytes;
  release_mapped_bytes(*file_, begin, begin + static_cast<uint64_t>(count) * bytes);
}

void GgufFile::release_rows(std::string_view name, int64_t first, int64_t count) const {
  const TensorEntry* entry = find(name);
  if (entry == nullptr || entry->shape.size() == 1) return;
  const int64_t per_row = vectors_per_row(entry->shape);
  release_vectors(name, first * per_row, count * per_row);
}

void GgufFile::release_pages(std::string_view name) const {
  if (const TensorEntry* entry = find(name)) release_vectors(name, 0, num_vectors(entry->shape));
}

}  // namespace foregate::tensor
