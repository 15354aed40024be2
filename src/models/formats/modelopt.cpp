#include <fmt/core.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "models/formats/config_readers.h"

namespace foregate::models {
namespace {

using tensor::ScaledFormat;

/// An algorithm of modelopt.
struct Algorithm {
  const char* name;
  ScaledScheme scheme;
};

const std::array<Algorithm, 2>& algorithms() {
  static const std::array<Algorithm, 2> kAlgorithms = {
      {{"NVFP4",
        {&kModeloptNvfp4,
         {.codes = ScaledFormat::Codes::kE2m1,
          .bits = 4,
          .block_rows = 1,
          .block_columns = 16,
          .zeros = ScaledFormat::Zeros::kNone,
          .global = ScaledFormat::Global::kMultiplies}}},
       {"FP8",
        {&kTensorFp8,
         {.codes = ScaledFormat::Codes::kE4m3, .block_rows = 0, .block_columns = 0}}}}};
  return kAlgorithms;
}

const ScaledScheme& read_algorithm(const JsonReader& reader) {
  const std::string name = reader.string("quant_algo");
  for (const Algorithm& algorithm : algorithms()) {
    if (name != algorithm.name) continue;
    const int64_t block = algorithm.scheme.format.block_columns;
    if (block > 0 && reader.integer("group_size", 1, INT32_MAX, block) != block) {
      reader.fail("group_size", fmt::format("{}, as {} has", block, name));
    }
    return algorithm.scheme;
  }
  reader.fail("quant_algo", "NVFP4, FP8 or MIXED_PRECISION, the ones supported");
}

}  // namespace

void read_modelopt_config(const JsonReader& reader, CheckpointFormat& format) {
  format.kind = CheckpointFormat::Kind::kScaled;
  if (reader.string("quant_algo") == "MIXED_PRECISION") {
    const JsonReader layers = reader.object("quantized_layers");
    for (const auto& [name, value] : layers.json().items()) {
      ScaledGroup group{.modules = ModulePatterns(), .scheme = {}};
      group.modules->add_name(name);
      group.scheme = read_algorithm(layers.object(name.c_str()));
      format.scaled.push_back(std::move(group));
    }
    if (format.scaled.empty()) reader.fail("quantized_layers", "at least one layer");
  } else {
    format.scaled = {{.modules = std::nullopt, .scheme = read_algorithm(reader)}};
  }
  // config.json calls it ignore, hf_quant_config.json exclude_modules.
  const char* key = reader.has("ignore") ? "ignore" : "exclude_modules";
  format.left_dense.emplace();
  if (!reader.has(key)) return;
  for (const std::string& module : reader.strings(key)) {
    format.left_dense->add_glob(module, reader.where());
  }
}

std::optional<CheckpointFormat> read_modelopt_file(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "hf_quant_config.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json = read_json(path);
  CheckpointFormat format;
  format.method = "modelopt";
  read_modelopt_config(JsonReader(json, path.string()).object("quantization"), format);
  return format;
}

}  // namespace foregate::models
