#include "models/formats/matrix_format.h"
#include "models/weights/stored_weight.h"
#include "tensor/weight/encoding.h"

namespace foregate::models {
namespace {

std::string describe_foregate(const CheckpointFormat& format) {
  return tensor::quantization_name(format.quantization);
}

std::vector<StoredTensor> foregate_parts(const StoredMatrix& matrix) {
  const tensor::Quantization quantization = matrix.format.quantization;
  const tensor::Encoding& kept = tensor::encoding(quantization);
  return {
      {matrix.name, kept.codes_shape(matrix.shape), kept.code_dtype},
      {scales_name(matrix.name, quantization), kept.scales_shape(matrix.shape), torch::kFloat32}};
}

void read_foregate(const StoredMatrix& matrix, const RowConsumer& consume) {
  const tensor::Quantization quantization = matrix.format.quantization;
  read_windows(
      matrix.checkpoint, {matrix.name, scales_name(matrix.name, quantization)},
      [&](const auto& window) {
        return tensor::Weight(quantization, window[0], window[1], matrix.inputs());
      },
      consume);
}

}  // namespace

constexpr MatrixFormat kForegateMatrices{CheckpointFormat::Kind::kForegate, describe_foregate,
                                         foregate_parts, read_foregate};

}  // namespace foregate::models
