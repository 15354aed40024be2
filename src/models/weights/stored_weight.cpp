#include "models/weights/stored_weight.h"

#include <algorithm>

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
  return {{module + ".qweight", {inputs / per_word, outputs}, torch::kInt32},
          {module + ".qzeros", {groups, outputs / per_word}, torch::kInt32},
          {module + ".scales", {groups, outputs}, torch::kFloat16},
          {module + ".g_idx", {inputs}, torch::kInt32, /*required=*/false}};
}

std::vector<StoredTensor> our_parts(const std::string& name, tensor::Quantization quantization,
                                    const std::vector<int64_t>& shape) {
  StoredTensor codes{name, shape, torch::kInt8};
  StoredTensor scales{scales_name(name, quantization), shape, torch::kFloat32};
  if (quantization == tensor::Quantization::kNf4) {
    codes.dtype = torch::kUInt8;
    codes.shape.back() = tensor::nf4_code_bytes(shape.back());
    scales.shape.back() = tensor::nf4_blocks(shape.back());
  } else {
    scales.shape.pop_back();
  }
  return {codes, scales};
}

using Consumer = std::function<void(int64_t first, const tensor::Weight& rows)>;

// Hands over windows of tensors that have the same first dimension, and drops their pages.
void read_windows(const tensor::Checkpoint& checkpoint, const std::vector<std::string>& names,
                  const std::function<tensor::Weight(const std::vector<torch::Tensor>&)>& join,
                  const Consumer& consume) {
  std::vector<torch::Tensor> tensors;
  for (const std::string& name : names) tensors.push_back(checkpoint.tensor(name));
  const int64_t rows = tensors.front().size(0);
  const auto bytes = static_cast<int64_t>(tensors.front().nbytes());
  const int64_t step = std::max<int64_t>(1, kWindowBytes * rows / std::max<int64_t>(1, bytes));
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    std::vector<torch::Tensor> window;
    for (const torch::Tensor& tensor : tensors) window.push_back(tensor.narrow(0, first, count));
    consume(first, join(window));
    for (const std::string& name : names) checkpoint.release_rows(name, first, count);
  }
  for (const std::string& name : names) checkpoint.release_pages(name);
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

}  // namespace

std::string scales_name(const std::string& name, tensor::Quantization quantization) {
  return name + (quantization == tensor::Quantization::kNf4 ? ".absmax" : ".scale");
}

std::string gptq_bias_name(const std::string& name) {
  return module_of(name) + ".bias";
}

std::vector<StoredTensor> stored_parts(const tensor::Checkpoint& checkpoint,
                                       const CheckpointFormat& storage, const std::string& name,
                                       const std::vector<int64_t>& shape) {
  switch (storage.kind) {
    case CheckpointFormat::Kind::kForegate:
      return our_parts(name, storage.quantization, shape);
    case CheckpointFormat::Kind::kGptq:
      if (checkpoint.find(name) == nullptr && shape.size() == 2) {
        return gptq_parts(name, storage.gptq, shape);
      }
      break;
    default:
      break;
  }
  return {{.name = name, .shape = shape}};
}

void read_stored(const tensor::Checkpoint& checkpoint, const CheckpointFormat& storage,
                 const std::string& name, const std::vector<int64_t>& shape,
                 const Consumer& consume) {
  const std::vector<StoredTensor> parts = stored_parts(checkpoint, storage, name, shape);
  if (parts.size() == 1) {
    read_windows(
        checkpoint, {name}, [](const auto& window) { return tensor::Weight(window[0]); }, consume);
  } else if (storage.kind == CheckpointFormat::Kind::kForegate) {
    read_windows(
        checkpoint, {parts[0].name, parts[1].name},
        [&](const auto& window) {
          return tensor::Weight(storage.quantization, window[0], window[1], shape.back());
        },
        consume);
  } else {
    read_gptq(checkpoint, storage.gptq, name, consume);
  }
}

}  // namespace foregate::models
