#include "models/weights/checkpoint_format.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::models {
namespace {

constexpr const char* kOurMethod = "foregate";

tensor::Quantization read_our_format(const JsonReader& reader) {
  const std::string format = reader.string("format");
  for (const tensor::Quantization known :
       {tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    if (format == tensor::quantization_name(known)) {
      if (known == tensor::Quantization::kNf4 &&
          reader.integer("block_size", 1, INT32_MAX) != tensor::kNf4Block) {
        reader.fail("block_size", fmt::format("{}, the only one supported", tensor::kNf4Block));
      }
      return known;
    }
  }
  reader.fail("format", "int8 or nf4");
}

tensor::GptqFormat read_gptq_format(const JsonReader& reader) {
  tensor::GptqFormat format;
  format.bits = reader.integer("bits", 1, 32);
  if (format.bits != 4 && format.bits != 8) reader.fail("bits", "4 or 8, the ones supported");
  format.group_size = reader.integer("group_size", -1, INT32_MAX);
  if (format.group_size == 0) reader.fail("group_size", "at least 1, or -1 for one group");
  const std::string version = reader.string("checkpoint_format", "gptq");
  if (version != "gptq" && version != "gptq_v2") {
    reader.fail("checkpoint_format", "gptq or gptq_v2, the ones supported");
  }
  format.zeros_minus_one = version == "gptq";
  if (reader.boolean("is_marlin_format", false)) {
    reader.fail("is_marlin_format", "false: weights packed for Marlin are not supported");
  }
  if (reader.has("dynamic") && !reader.at("dynamic").empty()) {
    reader.fail("dynamic", "nothing: settings by module are not supported");
  }
  return format;
}

}  // namespace

CheckpointFormat read_weight_storage(const JsonReader& config) {
  CheckpointFormat storage;
  if (!config.has("quantization_config")) return storage;
  const JsonReader reader = config.object("quantization_config");
  const std::string method = reader.string("quant_method");
  if (method == kOurMethod) {
    storage.kind = CheckpointFormat::Kind::kForegate;
    storage.quantization = read_our_format(reader);
  } else if (method == "gptq") {
    storage.kind = CheckpointFormat::Kind::kGptq;
    storage.gptq = read_gptq_format(reader);
  } else {
    reader.fail("quant_method",
                "gptq or foregate, the ones supported; take the checkpoint in bfloat16 or float16 "
                "and quantise it with --quantize");
  }
  return storage;
}

std::string CheckpointFormat::description() const {
  switch (kind) {
    case Kind::kForegate:
      return tensor::quantization_name(quantization);
    case Kind::kGptq:
      return fmt::format(
          "gptq {}-bit, {}", gptq.bits,
          gptq.group_size < 0 ? "one group" : fmt::format("groups of {}", gptq.group_size));
    default:
      return "dense";
  }
}

Json quantization_config(tensor::Quantization quantization) {
  Json config = {{"quant_method", kOurMethod}, {"format", tensor::quantization_name(quantization)}};
  if (quantization == tensor::Quantization::kNf4) config["block_size"] = tensor::kNf4Block;
  return config;
}

}  // namespace foregate::models
