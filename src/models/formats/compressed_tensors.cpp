#include <fmt/core.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "models/formats/config_readers.h"

namespace foregate::models {
namespace {

using tensor::ScaledFormat;
using Codes = ScaledFormat::Codes;

constexpr const char* kSupportedFormats =
    "pack-quantized, int-quantized, float-quantized, naive-quantized, nvfp4-pack-quantized or "
    "mxfp4-pack-quantized, the ones supported";

/// What a format of compressed-tensors demands of config_groups' weights, and how it is kept.
struct PackedFormat {
  const char* format;
  const char* type;  ///< of `weights`
  int64_t fewest_bits;
  int64_t most_bits;
  const ScaledLayout* layout;
  Codes codes;
  ScaledFormat::Zeros zeros;  ///< of asymmetric weights
  int64_t group_size;         ///< the only one that there is; 0: as config.json says
};

constexpr std::array kPackedFormats = {
    PackedFormat{"pack-quantized", "int", 1, 8, &kPackQuantized, Codes::kPackedInt,
                 ScaledFormat::Zeros::kPackedInt, 0},
    PackedFormat{"int-quantized", "int", 8, 8, &kIntQuantized, Codes::kInt8,
                 ScaledFormat::Zeros::kInt8, 0},
    PackedFormat{"naive-quantized", "int", 8, 8, &kIntQuantized, Codes::kInt8,
                 ScaledFormat::Zeros::kInt8, 0},
    PackedFormat{"float-quantized", "float", 8, 8, &kFloatQuantized, Codes::kE4m3,
                 ScaledFormat::Zeros::kNone, 0},
    PackedFormat{"naive-quantized", "float", 8, 8, &kFloatQuantized, Codes::kE4m3,
                 ScaledFormat::Zeros::kNone, 0},
    PackedFormat{"nvfp4-pack-quantized", "float", 4, 4, &kNvfp4PackQuantized, Codes::kE2m1,
                 ScaledFormat::Zeros::kNone, 16},
    PackedFormat{"mxfp4-pack-quantized", "float", 4, 4, &kMxfp4PackQuantized, Codes::kE2m1,
                 ScaledFormat::Zeros::kNone, 32},
};

// The line of this format for weights of this type.
const PackedFormat& packed_format(const JsonReader& holder, const JsonReader& weights) {
  const std::string name = holder.string("format");
  const std::string type = weights.string("type", "int");
  bool known = false;
  for (const PackedFormat& packed : kPackedFormats) {
    if (name != packed.format) continue;
    known = true;
    if (type == packed.type) return packed;
  }
  if (!known) holder.fail("format", kSupportedFormats);
  weights.fail("type", fmt::format("what {} holds", name));
}

// "128x128", as older versions wrote it; empty: something else.
std::vector<int64_t> block_of_text(const std::string& text) {
  std::vector<int64_t> block(2);
  const char* end = text.data() + text.size();
  const auto [times, error] = std::from_chars(text.data(), end, block[0]);
  if (error != std::errc() || times == end || *times != 'x') return {};
  const auto [stop, error_behind] = std::from_chars(times + 1, end, block[1]);
  return error_behind == std::errc() && stop == end ? block : std::vector<int64_t>();
}

// Rows and columns of a block.
std::vector<int64_t> read_block(const JsonReader& weights) {
  constexpr const char* kKey = "block_structure";
  const std::vector<int64_t> block =
      weights.at(kKey).is_string() ? block_of_text(weights.string(kKey)) : weights.integers(kKey);
  if (block.size() != 2 || block[0] < 1 || block[1] < 1) {
    weights.fail(kKey, "two numbers of at least 1, rows and columns of a block");
  }
  return block;
}

// As the package infers it where nothing is said.
std::string strategy_of(const JsonReader& weights) {
  if (weights.has("strategy")) return weights.string("strategy");
  if (!weights.has("group_size")) return "tensor";
  return weights.integer("group_size", -1, INT32_MAX) == -1 ? "channel" : "group";
}

// Which of the weights share a scale.
void read_strategy(const JsonReader& weights, ScaledFormat& format) {
  const std::string strategy = strategy_of(weights);
  format.block_rows = 1;
  if (strategy == "tensor") {
    format.block_rows = format.block_columns = 0;
  } else if (strategy == "channel") {
    format.block_columns = 0;
  } else if (strategy == "group" || strategy == "tensor_group") {
    format.block_columns = weights.integer("group_size", 1, INT32_MAX);
  } else if (strategy == "block") {
    const std::vector<int64_t> block = read_block(weights);
    format.block_rows = block[0];
    format.block_columns = block[1];
  } else {
    weights.fail("strategy", "tensor, channel, group, tensor_group or block, the ones supported");
  }
}

ScaledScheme read_scheme(const JsonReader& holder, const JsonReader& weights) {
  const PackedFormat& packed = packed_format(holder, weights);
  ScaledScheme scheme{packed.layout, {.codes = packed.codes}};
  scheme.format.bits = weights.integer("num_bits", 1, 32, 8);
  if (scheme.format.bits < packed.fewest_bits || scheme.format.bits > packed.most_bits) {
    weights.fail("num_bits", packed.fewest_bits == packed.most_bits
                                 ? fmt::format("{}, as {} holds", packed.most_bits, packed.format)
                                 : fmt::format("{} to {}, as {} holds", packed.fewest_bits,
                                               packed.most_bits, packed.format));
  }
  read_strategy(weights, scheme.format);
  if (packed.group_size > 0 && scheme.format.block_columns != packed.group_size) {
    weights.fail("group_size", fmt::format("{}, as {} has", packed.group_size, packed.format));
  }
  if (!weights.boolean("symmetric", true)) {
    if (packed.zeros == ScaledFormat::Zeros::kNone) {
      weights.fail("symmetric", fmt::format("true, as {} is", packed.format));
    }
    if (packed.zeros == ScaledFormat::Zeros::kPackedInt && scheme.format.block_rows != 1) {
      weights.fail("strategy", "channel or group, beside \"symmetric\": false");
    }
    scheme.format.zeros = packed.zeros;
  }
  if (packed.layout->global != nullptr) scheme.format.global = ScaledFormat::Global::kDivides;
  // "weight" and "static" order what is quantised, not how it is kept.
  const bool reordered = weights.has("actorder") && weights.at("actorder").is_string() &&
                         weights.string("actorder") == "group";
  if (reordered) weights.fail("actorder", "another order than by group, which is not supported");
  return scheme;
}

// A module's name, "re:" and an expression, or a class of modules.
ModulePatterns read_targets(const JsonReader& reader, const char* key, bool& all) {
  ModulePatterns patterns;
  all = false;
  for (const std::string& target : reader.strings(key)) {
    if (target.starts_with("re:")) {
      patterns.add_regex(target.substr(3), reader.where());
    } else if (target == "Linear") {
      all = true;
    } else {
      patterns.add_name(target);
    }
  }
  return patterns;
}

}  // namespace

void read_compressed_tensors_config(const JsonReader& reader, CheckpointFormat& format) {
  format.kind = CheckpointFormat::Kind::kScaled;
  if (reader.has("sparsity_config") && !reader.at("sparsity_config").empty() &&
      reader.object("sparsity_config").string("format", "dense") != "dense") {
    reader.fail("sparsity_config", "nothing: sparse weights are not supported");
  }
  if (reader.has("transform_config") && !reader.at("transform_config").empty()) {
    reader.fail("transform_config", "nothing: transformed weights are not supported");
  }
  const JsonReader groups = reader.object("config_groups");
  std::optional<ScaledGroup> rest;
  for (const auto& [name, value] : groups.json().items()) {
    const JsonReader group = groups.object(name.c_str());
    if (!group.has("weights")) continue;  // only activations
    bool all = false;
    ModulePatterns targets = read_targets(group, "targets", all);
    const ScaledScheme scheme =
        read_scheme(group.has("format") ? group : reader, group.object("weights"));
    if (!targets.empty()) format.scaled.push_back({std::move(targets), scheme});
    // Names and expressions come before the class of all.
    if (all && !rest) rest = ScaledGroup{.modules = std::nullopt, .scheme = scheme};
  }
  if (rest) format.scaled.push_back(std::move(*rest));
  if (format.scaled.empty()) {
    reader.fail("config_groups", "a group whose targets are modules, with weights");
  }
  format.left_dense.emplace();
  if (!reader.has("ignore")) return;
  bool all = false;
  *format.left_dense = read_targets(reader, "ignore", all);
  if (all) reader.fail("ignore", "names of modules, not all of them");
}

}  // namespace foregate::models
