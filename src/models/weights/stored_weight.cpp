#include "models/weights/stored_weight.h"

#include <algorithm>

#include "tensor/weight/encoding.h"

namespace foregate::models {
namespace {

// Mapped bytes that are looked at before they are let go.
constexpr int64_t kWindowBytes = int64_t{32} << 20;

constexpr std::string_view kWeightSuffix = ".weight";

std::string module_of(const std::string& name) {
  return name.ends_with(kWeightSuffix) ? name.substr(0, name.size() - kWeightSuffix.size()) : name;
}

std::vector<StoredTensor> gptq_parts(const std::string& name, const tensor::GptqFormat& format,
                                     const std::vector<int64_t>& shape) {
  const std::string module = module_of(name);
  const int64_t outputs = shape[0];
  const int64_t inputs = shape[1];
  const int64_t per_word = format.values_per_word();
  const int64_t groups = format.groups(inputs);
  return {
      {module + ".qweight", {inputs / per_word, outputs}, torch::kInt32},
      {module + ".qzeros", {groups, outputs / per_word}, torch::kInt32},
      {module + ".scales", {groups, outputs}},
      {module + ".g_idx", {inputs}, torch::kInt32, /*required=*/format.act_order && groups > 1}};
}

std::vector<StoredTensor> our_parts(const std::string& name, tensor::Quantization quantization,
                                    const std::vector<int64_t>& shape) {
  const tensor::Encoding& kept = tensor::encoding(quantization);
  return {{name, kept.codes_shape(shape), kept.code_dtype},
          {scales_name(name, quantization), kept.scales_shape(shape), torch::kFloat32}};
}

using Consumer = std::function<void(int64_t first, const tensor::Weight& rows)>;

// Hands over windows of tensors that have the same first dimension, and drops their pages.
void read_windows(const tensor::Checkpoint& checkpoint, const std::vector<std::string>& names,
                  const std::function<tensor::Weight(const std::vector<torch::Tensor>&)>& join,
                  const Consumer& consume) {
  const tensor::TensorEntry* entry = checkpoint.find(names.front());
  TORCH_CHECK(entry != nullptr, "read_stored: no tensor ", names.front());
  const int64_t rows = entry->shape.front();
  const auto bytes =
      c10::multiply_integers(entry->shape) * static_cast<int64_t>(c10::elementSize(entry->dtype));
  const int64_t step = std::max<int64_t>(1, kWindowBytes * rows / std::max<int64_t>(1, bytes));
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    std::vector<torch::Tensor> window;
    for (const std::string& name : names) window.push_back(checkpoint.rows(name, first, count));
    consume(first, join(window));
    for (const std::string& name : names) checkpoint.release_rows(name, first, count);
  }
  for (const std::string& name : names) checkpoint.release_pages(name);
}

void read_dense(const tensor::Checkpoint& checkpoint, const std::string& name,
                const Consumer& consume) {
  read_windows(
      checkpoint, {name}, [](const auto& window) { return tensor::Weight(window[0]); }, consume);
}

void read_ours(const tensor::Checkpoint& checkpoint, tensor::Quantization quantization,
               const std::string& name, int64_t columns, const Consumer& consume) {
  read_windows(
      checkpoint, {name, scales_name(name, quantization)},
      [&](const auto& window) {
        return tensor::Weight(quantization, window[0], window[1], columns);
      },
      consume);
}

void read_gptq(const tensor::Checkpoint& checkpoint, const tensor::GptqFormat& format,
               const std::string& name, const Consumer& consume) {
  const std::string module = module_of(name);
  const std::string g_idx = module + ".g_idx";
  tensor::GptqTensors tensors{checkpoint.tensor(module + ".qweight"),
                              checkpoint.tensor(module + ".qzeros"),
                              checkpoint.tensor(module + ".scales"),
                              {}};
  if (checkpoint.find(g_idx) != nullptr) tensors.g_idx = checkpoint.tensor(g_idx);
  const std::string what = checkpoint.directory().string() + ": " + module;
  consume(0, tensor::dequantize_gptq(tensors, format, what));
  for (const char* part : {".qweight", ".qzeros", ".scales", ".g_idx"}) {
    checkpoint.release_pages(module + part);
  }
}

// A matrix that a GPTQ checkpoint keeps as floats, under its own name.
bool is_left_dense(const tensor::Checkpoint& checkpoint, const std::string& name,
                   const std::vector<int64_t>& shape) {
  return checkpoint.find(name) != nullptr || shape.size() != 2;
}

}  // namespace

std::string scales_name(const std::string& name, tensor::Quantization quantization) {
  return name + std::string(tensor::encoding(quantization).scales_suffix);
}

std::string gptq_zeros_name(const std::string& name) {
  return module_of(name) + ".qzeros";
}

std::string gptq_bias_name(const std::string& name) {
  return module_of(name) + ".bias";
}

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind that is not here does not compile

std::vector<StoredTensor> stored_parts(const tensor::Checkpoint& checkpoint,
                                       const CheckpointFormat& storage, const std::string& name,
                                       const std::vector<int64_t>& shape) {
  switch (storage.kind) {
    case CheckpointFormat::Kind::kDense:
      return {{.name = name, .shape = shape}};
    case CheckpointFormat::Kind::kForegate:
      return our_parts(name, storage.quantization, shape);
    case CheckpointFormat::Kind::kGptq:
      if (is_left_dense(checkpoint, name, shape)) return {{.name = name, .shape = shape}};
      return gptq_parts(name, storage.gptq, shape);
  }
  __builtin_unreachable();
}

void read_stored(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                 const std::string& name, const std::vector<int64_t>& shape,
                 const Consumer& consume) {
  switch (storage.kind) {
    case CheckpointFormat::Kind::kDense:
      return read_dense(checkpoint, name, consume);
    case CheckpointFormat::Kind::kForegate:
      return read_ours(checkpoint, storage.quantization, name, shape.back(), consume);
    case CheckpointFormat::Kind::kGptq:
      if (is_left_dense(checkpoint, name, shape)) return read_dense(checkpoint, name, consume);
      return read_gptq(checkpoint, storage.gptq, name, consume);
  }
}

#pragma GCC diagnostic pop

}  // namespace foregate::models
