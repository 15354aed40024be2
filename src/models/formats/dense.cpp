#include "models/formats/matrix_format.h"

namespace foregate::models {
namespace {

std::string describe_dense(const CheckpointFormat& /*format*/) {
  return "dense";
}

std::vector<StoredTensor> dense_parts(const StoredMatrix& matrix) {
  return {{.name = matrix.name, .shape = matrix.shape}};
}

void read_dense(const StoredMatrix& matrix, const RowConsumer& consume) {
  read_windows(
      matrix.checkpoint, {matrix.name},
      [](const auto& window) { return tensor::Weight(window[0]); }, consume);
}

}  // namespace

constexpr MatrixFormat kDenseMatrices{CheckpointFormat::Kind::kDense, describe_dense, dense_parts,
                                      read_dense};

}  // namespace foregate::models
