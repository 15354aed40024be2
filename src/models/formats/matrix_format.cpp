#include "models/formats/matrix_format.h"

#include <algorithm>
#include <string_view>

namespace foregate::models {
namespace {

// Mapped bytes, or decoded ones, that are looked at before they are let go.
constexpr int64_t kWindowBytes = int64_t{32} << 20;

constexpr std::string_view kWeightSuffix = ".weight";

int64_t window_rows(int64_t rows, int64_t bytes) {
  return std::max<int64_t>(1, kWindowBytes * rows / std::max<int64_t>(1, bytes));
}

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind that is not here does not compile
const MatrixFormat& matrix_format(CheckpointFormat::Kind kind) {
  switch (kind) {
    case CheckpointFormat::Kind::kDense:
      return kDenseMatrices;
    case CheckpointFormat::Kind::kForegate:
      return kForegateMatrices;
    case CheckpointFormat::Kind::kGptq:
      return kGptqMatrices;
    case CheckpointFormat::Kind::kAwq:
      return kAwqMatrices;
    case CheckpointFormat::Kind::kBitsandbytes:
      return kBitsandbytesMatrices;
    case CheckpointFormat::Kind::kScaled:
      return kScaledMatrices;
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

bool is_float(torch::ScalarType dtype) {
  return dtype == torch::kFloat32 || dtype == torch::kBFloat16 || dtype == torch::kFloat16;
}

std::string module_of(const std::string& name) {
  return name.ends_with(kWeightSuffix) ? name.substr(0, name.size() - kWeightSuffix.size()) : name;
}

std::string StoredMatrix::what() const {
  return checkpoint.directory().string() + ": " + module();
}

bool StoredMatrix::is_left_dense() const {
  if (format.left_dense && format.left_dense->matches(module())) return true;
  if (format.left_dense && !format.perhaps_dense.matches(module())) return false;
  const tensor::TensorEntry* entry = checkpoint.find(name);
  return entry != nullptr && is_float(entry->dtype);
}

void read_windows(const tensor::Checkpoint& checkpoint, const std::vector<std::string>& names,
                  const std::function<tensor::Weight(const std::vector<torch::Tensor>&)>& join,
                  const RowConsumer& consume) {
  const tensor::TensorEntry* entry = checkpoint.find(names.front());
  TORCH_CHECK(entry != nullptr, "read_windows: no tensor ", names.front());
  const int64_t rows = entry->shape.front();
  const auto bytes =
      c10::multiply_integers(entry->shape) * static_cast<int64_t>(c10::elementSize(entry->dtype));
  const int64_t step = window_rows(rows, bytes);
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    std::vector<torch::Tensor> window;
    for (const std::string& name : names) window.push_back(checkpoint.rows(name, first, count));
    consume(first, join(window));
    for (const std::string& name : names) checkpoint.release_rows(name, first, count);
  }
  for (const std::string& name : names) checkpoint.release_pages(name);
}

void read_decoded(const StoredMatrix& matrix, const std::vector<std::string>& parts,
                  const std::function<torch::Tensor(int64_t first, int64_t count)>& decode,
                  const RowConsumer& consume) {
  const int64_t rows = matrix.shape.front();
  const auto bytes = c10::multiply_integers(matrix.shape) *
                     static_cast<int64_t>(c10::elementSize(torch::kFloat32));
  const int64_t step = window_rows(rows, bytes);
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    consume(first, tensor::Weight(decode(first, count)));
  }
  for (const std::string& part : parts) matrix.checkpoint.release_pages(part);
}

}  // namespace foregate::models
