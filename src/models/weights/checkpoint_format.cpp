#include "models/weights/checkpoint_format.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tensor/weight/encoding.h"

namespace foregate::models {
namespace {

constexpr const char* kOurMethod = "foregate";

void read_our_format(const JsonReader& reader, CheckpointFormat& storage) {
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

std::string describe_our_format(const CheckpointFormat& storage) {
  return tensor::quantization_name(storage.quantization);
}

void read_gptq_format(const JsonReader& reader, CheckpointFormat& storage) {
  tensor::GptqFormat& format = storage.gptq;
  format.bits = reader.integer("bits", 1, 32);
  if (format.bits != 4 && format.bits != 8) reader.fail("bits", "4 or 8, the ones supported");
  format.group_size = reader.integer("group_size", -1, INT32_MAX);
  if (format.group_size == 0) reader.fail("group_size", "at least 1, or -1 for one group");
  const std::string version = reader.string("checkpoint_format", "gptq");
  if (version != "gptq" && version != "gptq_v2") {
    reader.fail("checkpoint_format", "gptq or gptq_v2, the ones supported");
  }
  format.zeros_minus_one = version == "gptq";
  format.act_order = reader.boolean("desc_act", false);
  if (reader.has("sym")) format.symmetric = reader.boolean("sym");
  if (reader.boolean("is_marlin_format", false)) {
    reader.fail("is_marlin_format", "false: weights packed for Marlin are not supported");
  }
  if (reader.has("dynamic") && !reader.at("dynamic").empty()) {
    reader.fail("dynamic", "nothing: settings by module are not supported");
  }
}

std::string describe_gptq_format(const CheckpointFormat& storage) {
  const int64_t size = storage.gptq.group_size;
  return fmt::format("gptq {}-bit, {}", storage.gptq.bits,
                     size < 0 ? "one group" : fmt::format("groups of {}", size));
}

/// What quantization_config says of a kind of checkpoint.
struct Method {
  CheckpointFormat::Kind kind;
  const char* name;  ///< quant_method
  void (*read)(const JsonReader& reader, CheckpointFormat& storage);
};

constexpr std::array kMethods = {
    Method{CheckpointFormat::Kind::kGptq, "gptq", read_gptq_format},
    Method{CheckpointFormat::Kind::kForegate, kOurMethod, read_our_format},
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
      storage.kind = method.kind;
      method.read(reader, storage);
      return storage;
    }
    supported += fmt::format("{}{}", supported.empty() ? "" : " or ", method.name);
  }
  reader.fail("quant_method", supported +
                                  ", the ones supported; take the checkpoint in bfloat16 or "
                                  "float16 and quantise it with --quantize");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind that is not here does not compile
std::string CheckpointFormat::description() const {
  switch (kind) {
    case Kind::kDense:
      return "dense";
    case Kind::kForegate:
      return describe_our_format(*this);
    case Kind::kGptq:
      return describe_gptq_format(*this);
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

Json quantization_config(tensor::Quantization quantization) {
  Json config = {{"quant_method", kOurMethod}, {"format", tensor::quantization_name(quantization)}};
  const int64_t block = tensor::encoding(quantization).block;
  if (block > 0) config["block_size"] = block;
  return config;
}

}  // namespace foregate::models
