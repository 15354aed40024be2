#include "models/weights/stored_weight.h"

#include "tensor/weight/encoding.h"

namespace foregate::models {

std::string scales_name(const std::string& name, tensor::Quantization quantization) {
  return name + std::string(tensor::encoding(quantization).scales_suffix);
}

std::string gptq_zeros_name(const std::string& name) {
  return module_of(name) + ".qzeros";
}

std::string gptq_bias_name(const std::string& name) {
  return module_of(name) + ".bias";
}

std::vector<StoredTensor> stored_parts(const tensor::Checkpoint& checkpoint,
                                       const CheckpointFormat& storage, const std::string& name,
                                       const std::vector<int64_t>& shape) {
  return matrix_format(storage.kind).parts({checkpoint, storage, name, shape});
}

void read_stored(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                 const std::string& name, const std::vector<int64_t>& shape,
                 const RowConsumer& consume) {
  matrix_format(storage.kind).read({checkpoint, storage, name, shape}, consume);
}

}  // namespace foregate::models
