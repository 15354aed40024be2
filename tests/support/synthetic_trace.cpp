#include "support/synthetic_trace.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <map>

#include "base/hash.h"
#include "base/random.h"
#include "nn/router.h"
#include "tensor/files/safetensors.h"
#include "trace/features.h"
#include "trace/writer.h"

namespace foregate::testing {
namespace {

constexpr int kLayers = 4;
constexpr int kTopK = 2;
constexpr int kHidden = 8;
constexpr int kVocabulary = 20;
constexpr int kShards = 2;

trace::Geometry geometry_of(const SyntheticOptions& options) {
  trace::Geometry geometry;
  geometry.num_moe_layers = kLayers;
  geometry.num_experts = options.num_experts;
  geometry.top_k = kTopK;
  geometry.hidden_size = kHidden;
  geometry.vocab_size = kVocabulary;
  geometry.num_decoder_layers = kLayers;
  for (int l = 0; l < kLayers; ++l) geometry.moe_layers.push_back(l);
  return geometry;
}

trace::Manifest manifest_of(const trace::Geometry& geometry, const std::string& model) {
  trace::Manifest manifest;
  manifest.model = model;
  manifest.model_type = "qwen2_moe";
  manifest.config_sha256 = sha256_of_text(model);
  manifest.tokenizer_sha256 = sha256_of_text("tokenizer");
  manifest.geometry = geometry;
  manifest.complete = true;
  return manifest;
}

struct Model {
  torch::Tensor embedding;  // [V, H]
  torch::Tensor drift;      // [L, H, H]
  torch::Tensor router;     // [L, E, H]
  torch::Tensor norm;       // [L, H]
};

struct States {
  torch::Tensor router_inputs;  // [n, L, H]
  torch::Tensor residual;       // [n, L, H] bfloat16
};

Model make_model(const SyntheticOptions& options) {
  torch::manual_seed(static_cast<int64_t>(options.seed));
  return {torch::randn({kVocabulary, kHidden}), 0.3 * torch::randn({kLayers, kHidden, kHidden}),
          torch::randn({kLayers, options.num_experts, kHidden}),
          1 + 0.1 * torch::rand({kLayers, kHidden})};
}

States run_model(const Model& model, const torch::Tensor& ids) {
  torch::Tensor hidden = model.embedding.index_select(0, ids);
  std::vector<torch::Tensor> inputs;
  std::vector<torch::Tensor> residual;
  for (int l = 0; l < kLayers; ++l) {
    residual.push_back(hidden.to(torch::kBFloat16));
    // "Attention": what came before in the text, so that states are more than their id.
    hidden = hidden + 0.2 * hidden.cumsum(0).matmul(model.drift[l]);
    inputs.push_back(hidden * hidden.square().mean(-1, true).add(1e-6).rsqrt() * model.norm[l]);
    hidden = hidden + torch::tanh(inputs.back().matmul(model.drift[l]));
  }
  return {torch::stack(inputs, 1).contiguous(), torch::stack(residual, 1).contiguous()};
}

trace::Trace decide(const Model& model, const States& states, const torch::Tensor& ids) {
  std::vector<torch::Tensor> experts;
  std::vector<torch::Tensor> gates;
  for (int l = 0; l < kLayers; ++l) {
    const auto logits = nn::router_logits(states.router_inputs.select(1, l), model.router[l]);
    const nn::Routing routing = nn::route(logits, {}, {}, kTopK);
    experts.push_back(routing.experts);
    gates.push_back(routing.gate_weights);
  }
  const torch::Tensor chosen = torch::stack(experts, 1).contiguous();
  const torch::Tensor weights = torch::stack(gates, 1).to(torch::kFloat16).contiguous();
  trace::Trace trace;
  const auto* id = ids.const_data_ptr<int64_t>();
  trace.token_ids.assign(id, id + ids.numel());
  const auto* expert = chosen.const_data_ptr<int64_t>();
  trace.experts.assign(expert, expert + chosen.numel());
  const auto* bits = static_cast<const uint16_t*>(weights.const_data_ptr());
  trace.gate_weights.assign(bits, bits + weights.numel());
  trace.prompt_tokens = trace.num_tokens();
  return trace;
}

void write_features(const std::filesystem::path& path, const std::vector<int64_t>& rows,
                    const std::vector<States>& states) {
  std::vector<int64_t> offsets = {0};
  std::vector<torch::Tensor> inputs;
  std::vector<torch::Tensor> residual;
  for (const States& text : states) {
    offsets.push_back(offsets.back() + text.router_inputs.size(0));
    inputs.push_back(text.router_inputs);
    residual.push_back(text.residual);
  }
  tensor::write_safetensors(path,
                            {{trace::features::kRows, torch::tensor(rows, torch::kInt64)},
                             {trace::features::kOffsets, torch::tensor(offsets, torch::kInt64)},
                             {trace::features::kRouterInputs, torch::cat(inputs)},
                             {trace::features::kResidual, torch::cat(residual)}});
}

torch::Tensor random_ids(Random& random, int64_t length) {
  torch::Tensor ids = torch::empty({length}, torch::kInt64);
  for (int64_t t = 0; t < length; ++t) {
    ids[t] = static_cast<int64_t>(random.below(kVocabulary));
  }
  return ids;
}

}  // namespace

void write_synthetic_trace(const std::filesystem::path& directory,
                           const SyntheticOptions& options) {
  std::filesystem::create_directories(directory);
  const Model model = make_model(options);
  trace::Manifest manifest = manifest_of(geometry_of(options), options.model);
  manifest.seed = options.seed;
  Random random(options.seed);
  for (int shard = 0; shard < kShards; ++shard) {
    const std::string dataset = fmt::format("dataset-{}", shard);
    manifest.datasets.push_back({dataset, "made up", options.texts_per_dataset, 100, 0});
    trace::ShardWriter writer(directory, shard, manifest);
    std::vector<int64_t> rows;
    std::vector<States> states;
    for (int row = 0; row < options.texts_per_dataset; ++row) {
      const torch::Tensor ids = random_ids(random, row == 0 ? 1 : 2 + row % 23);
      const States text = run_model(model, ids);
      trace::Trace trace = decide(model, text, ids);
      trace.dataset = dataset;
      trace.sample = row;
      writer.add(trace);
      if (row % options.feature_every != 0) continue;
      rows.push_back(row);
      states.push_back(text);
    }
    trace::ShardEntry entry = writer.finish();
    if (options.features) {
      entry.features = fmt::format("part-{:05}.features.safetensors", shard);
      write_features(directory / entry.features, rows, states);
      entry.feature_bytes =
          static_cast<int64_t>(std::filesystem::file_size(directory / entry.features));
    }
    manifest.shards.push_back(entry);
  }
  if (options.features) {
    manifest.feature_fraction = 1.0 / options.feature_every;
    tensor::write_safetensors(directory / trace::features::kRoutersFile,
                              {{trace::features::kRouterWeight, model.router},
                               {trace::features::kNormWeight, model.norm}},
                              {{trace::features::kNormEpsilon, "1e-06"}});
  }
  trace::write_manifest(directory, manifest);
}

void write_trace(const std::filesystem::path& directory, const trace::Geometry& geometry,
                 const std::vector<trace::Trace>& traces) {
  std::filesystem::create_directories(directory);
  trace::Manifest manifest = manifest_of(geometry, "by hand");
  manifest.gate_weights = false;
  std::map<std::string, int64_t> sizes;
  for (const trace::Trace& trace : traces) ++sizes[trace.dataset];
  for (const auto& [name, size] : sizes)
    manifest.datasets.push_back({name, "by hand", size, size, 0});
  trace::ShardWriter writer(directory, 0, manifest);
  for (const trace::Trace& trace : traces) writer.add(trace);
  manifest.shards.push_back(writer.finish());
  trace::write_manifest(directory, manifest);
}

std::vector<predict::RoutedText> read_texts(const predict::Corpus& corpus,
                                            const predict::TextSelection& selection) {
  std::vector<predict::RoutedText> texts;
  corpus.for_each(selection, [&](const predict::RoutedText& text) { texts.push_back(text); });
  return texts;
}

}  // namespace foregate::testing
