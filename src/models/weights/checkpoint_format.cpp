#include "models/weights/checkpoint_format.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

#include "models/formats/config_readers.h"
#include "models/formats/matrix_format.h"
#include "tensor/weight/encoding.h"

namespace foregate::models {
namespace {

constexpr const char* kOurMethod = "foregate";

void read_our_format(const JsonReader& reader, CheckpointFormat& storage) {
  storage.kind = CheckpointFormat::Kind::kForegate;
  const std::string format = reader.string("format");
  for (const tensor::Quantization known : tensor::all_quantizations()) {
    const tensor::Encoding& kept = tensor::encoding(known);
    if (kept.is_dense() || format != kept.name) continue;
    if (kept.block > 0 && reader.integer("block_size", 1, INT32_MAX) != kept.block) {
      reader.fail("block_size", fmt::format("{}, the only one supported", kept.block));
    }
    storage.quantization = known;
    return;
  }
  reader.fail("format", tensor::quantization_names(/*none=*/false));
}

/// A quant_method of quantization_config.
struct Method {
  const char* name;
  void (*read)(const JsonReader& reader, CheckpointFormat& format);
};

constexpr std::array kMethods = {
    Method{"fp8", read_fp8_config},
    Method{"mxfp4", read_mxfp4_config},
    Method{"compressed-tensors", read_compressed_tensors_config},
    Method{"modelopt", read_modelopt_config},
    Method{"awq", read_awq_config},
    Method{"gptq", read_gptq_config},
    Method{"auto-round", read_auto_round_config},
    Method{"bitsandbytes", read_bitsandbytes_config},
    Method{kOurMethod, read_our_format},
};

}  // namespace

CheckpointFormat read_weight_storage(const JsonReader& config) {
  CheckpointFormat storage;
  // Some tools leave an empty object behind.
  if (!config.has("quantization_config") || config.at("quantization_config").empty())
    return storage;
  const JsonReader reader = config.object("quantization_config");
  const std::string name = reader.string("quant_method");
  std::string supported;
  for (const Method& method : kMethods) {
    if (name == method.name) {
      storage.method = name;
      method.read(reader, storage);
      return storage;
    }
    const char* joint = &method == &kMethods.back() ? " or " : ", ";
    supported += fmt::format("{}{}", supported.empty() ? "" : joint, method.name);
  }
  reader.fail("quant_method", supported +
                                  ", the ones supported; take the checkpoint in bfloat16 or "
                                  "float16 and quantise it with --quantize");
}

std::string CheckpointFormat::description() const {
  return matrix_format(kind).describe(*this);
}

Json quantization_config(tensor::Quantization quantization) {
  Json config = {{"quant_method", kOurMethod}, {"format", tensor::quantization_name(quantization)}};
  const int64_t block = tensor::encoding(quantization).block;
  if (block > 0) config["block_size"] = block;
  return config;
}

}  // namespace foregate::models
