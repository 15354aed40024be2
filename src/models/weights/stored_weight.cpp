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

bool has_codes(const tensor::Checkpoint& checkpoint, const std::string& name) {
  const tensor::TensorEntry* entry = checkpoint.find(name);
  if (entry != nullptr) return !is_float(entry->dtype);
  return checkpoint.find(module_of(name) + ".qweight") != nullptr ||
         checkpoint.find(name + "_packed") != nullptr;
}

const CheckpointFormat& storage_of(const tensor::Checkpoint& checkpoint,
                                   const CheckpointFormat& storage, const std::string& name,
                                   const std::vector<int64_t>& shape, bool quantizable) {
  static const CheckpointFormat kPlain;
  const bool packed = quantizable || (shape.size() == 2 && has_codes(checkpoint, name));
  return packed ? storage : kPlain;
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
