#include "predict/neural/transformer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "predict/fit_inputs.h"
#include "predict/neural/sequence_task.h"
#include "predict/texts/routed_text.h"
#include "predict/training/trainer.h"
#include "scoring/constants.h"

namespace foregate::predict {
namespace {

constexpr int64_t kMaxSetting = 65536;
/// Of embeddings at the start, small beside what the optimiser moves them by: a rare id is met a
/// few times in a training, and would keep most of what a large random start gave it.
constexpr double kInputScale = 0.05;
/// The defaults that did best on validation texts of the models measured.
TrainerSettings transformer_training() {
  TrainerSettings settings;
  settings.steps = 800;
  settings.weight_decay = 0.05;
  settings.warmup_steps = 50;
  settings.validation_tokens = 16384;
  settings.clip_norm = 1;
  return settings;
}

torch::Tensor product(const torch::Tensor& a, const torch::Tensor& b, torch::ScalarType dtype) {
  return torch::matmul(a.to(dtype), b.to(dtype)).to(torch::kFloat32);
}

torch::Tensor normalize(const torch::Tensor& x, const torch::Tensor& gain) {
  return torch::layer_norm(x, {x.size(-1)}, gain, {}, scoring::kLayerNormEpsilon);
}

torch::Tensor drop(const torch::Tensor& x, double share,
                   const std::optional<at::Generator>& generator) {
  if (!generator || share == 0) return x;
  return x * torch::empty_like(x).bernoulli_(1 - share, generator) / (1 - share);
}

/// Rotary positions (Su and others 2021): pairs of dimensions i and i + d/2 turn with the place.
torch::Tensor rotate(const torch::Tensor& x) {  // [..., places, d]
  const int64_t half = x.size(-1) / 2;
  const auto options = x.options().dtype(torch::kFloat32);
  const torch::Tensor speed =
      torch::pow(scoring::kRotaryBase, -torch::arange(half, options) / static_cast<double>(half));
  const torch::Tensor angle = torch::arange(x.size(-2), options).unsqueeze(1) * speed;
  const torch::Tensor cos = angle.cos().to(x.dtype());
  const torch::Tensor sin = angle.sin().to(x.dtype());
  const torch::Tensor a = x.slice(-1, 0, half);
  const torch::Tensor b = x.slice(-1, half);
  return torch::cat({a * cos - b * sin, a * sin + b * cos}, -1);
}

std::string in_block(int64_t block, const char* name) {
  return fmt::format("block.{}.{}", block, name);
}

}  // namespace

TransformerPredictor::TransformerPredictor(std::string name, scoring::Lead lead,
                                           trace::Geometry geometry, const JsonReader& settings)
    : Predictor(std::move(name), lead, std::move(geometry)),
      training_(TrainerSettings::from_json(settings, transformer_training())),
      width_(settings.integer("width", 2, kMaxSetting, 256)),
      blocks_(settings.integer("blocks", 1, 256, 1)),
      heads_(settings.integer("heads", 1, width_ / 2, 4)),
      context_(settings.integer("context", 2, kMaxSetting, 256)),
      dropout_(settings.number("dropout", 0, 0.99, 0)),
      layers_back_(settings.integer("layers_back", 1, kMaxSetting, 8)),
      layer_width_(settings.integer("layer_width", 1, kMaxSetting, 128)) {
  if (width_ % (2 * heads_) != 0) {
    settings.fail("width", fmt::format("a multiple of twice the {} heads", heads_));
  }
}

NamedTensors TransformerPredictor::initial_parameters(int64_t num_ids, uint64_t seed) const {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto random = [&](std::vector<int64_t> shape, double scale) {
    return scale * torch::randn(shape, generator);
  };
  const auto linear = [&](int64_t rows, int64_t columns) {
    return random({rows, columns}, 0.5 / std::sqrt(static_cast<double>(rows)));
  };
  const int64_t cells = geometry().num_moe_layers * geometry().num_experts;
  const auto chosen = static_cast<double>(geometry().num_moe_layers * geometry().top_k);
  const int64_t outputs = geometry().num_experts + (by_layer() ? layer_width_ : 0);
  NamedTensors parameters = {{"embedding", random({num_ids + 1, width_}, kInputScale)},
                             {"routing", random({cells, width_}, kInputScale / std::sqrt(chosen))},
                             {"norm", torch::ones({width_})},
                             {"out", random({width_, num_layers() * outputs}, 0.02)},
                             {"out_bias", torch::zeros({num_layers() * outputs})}};
  parameters["out_bias"]
      .view({num_layers(), outputs})
      .slice(1, 0, geometry().num_experts)
      .fill_(prior_logit(geometry()));
  // Nothing is known of an id that training never saw.
  parameters["embedding"][num_ids].zero_();
  for (int64_t i = 0; i < blocks_; ++i) {
    parameters[in_block(i, "attention_norm")] = torch::ones({width_});
    parameters[in_block(i, "attention_in")] = linear(width_, 3 * width_);
    parameters[in_block(i, "attention_out")] = kInputScale * linear(width_, width_);
    parameters[in_block(i, "mlp_norm")] = torch::ones({width_});
    parameters[in_block(i, "mlp_in")] = linear(width_, 4 * width_);
    parameters[in_block(i, "mlp_in_bias")] = torch::zeros({4 * width_});
    parameters[in_block(i, "mlp_out")] = kInputScale * linear(4 * width_, width_);
  }
  if (!by_layer()) return parameters;
  const int64_t experts = geometry().num_experts;
  const int64_t known = layers_back_ * experts;
  const double scale = 1 / std::sqrt(static_cast<double>(layers_back_ * geometry().top_k));
  parameters["known"] = torch::cat({torch::zeros({num_layers(), known, experts}),
                                    random({num_layers(), known, layer_width_}, scale)},
                                   2);
  parameters["layer_out"] = torch::zeros({num_layers(), layer_width_, experts});
  return parameters;
}

torch::Tensor TransformerPredictor::context_of(const NamedTensors& parameters,
                                               const WindowBatch& batch,
                                               const torch::Tensor& routed, torch::ScalarType dtype,
                                               const std::optional<at::Generator>& dropout) const {
  const int64_t tokens = batch.ids.size(0);
  const auto weight = [&](int64_t block, const char* name) {
    return parameters.at(in_block(block, name));
  };
  // The routing of the token before, none in front of a window.
  const torch::Tensor before = routed.flatten(1).roll(1, 0) * batch.places.gt(0).unsqueeze(1);
  torch::Tensor x = torch::embedding(parameters.at("embedding"), batch.ids) +
                    product(before, parameters.at("routing"), dtype);
  x = drop(x, dropout_, dropout);
  for (int64_t i = 0; i < blocks_; ++i) {
    const torch::Tensor all =
        product(normalize(x, weight(i, "attention_norm")), weight(i, "attention_in"), dtype);
    const torch::Tensor laid_out = torch::cat({all, torch::zeros({1, 3 * width_}, all.options())})
                                       .index_select(0, batch.padded)
                                       .to(dtype)
                                       .view({batch.windows, batch.longest, 3, heads_, -1})
                                       .permute({2, 0, 3, 1, 4});
    const torch::Tensor attended =
        torch::scaled_dot_product_attention(rotate(laid_out[0]), rotate(laid_out[1]), laid_out[2],
                                            {}, 0.0, /*is_causal=*/true)
            .transpose(1, 2)
            .reshape({-1, width_})
            .index_select(0, batch.flat);
    x = x + drop(product(attended, weight(i, "attention_out"), dtype), dropout_, dropout);
    const torch::Tensor inner =
        torch::silu(product(normalize(x, weight(i, "mlp_norm")), weight(i, "mlp_in"), dtype) +
                    weight(i, "mlp_in_bias"));
    x = x + drop(product(inner, weight(i, "mlp_out"), dtype), dropout_, dropout);
  }
  return drop(normalize(x, parameters.at("norm")), dropout_, dropout).view({tokens, width_});
}

torch::Tensor TransformerPredictor::known_layers(const torch::Tensor& routed) const {
  // Predictable layer l' knows layers l', l' - 1, ...; in front of the first one there is nothing.
  const torch::Tensor nothing =
      torch::zeros({routed.size(0), layers_back_ - 1, routed.size(2)}, routed.options());
  return torch::cat({nothing, routed.slice(1, 0, num_layers())}, 1)
      .unfold(1, layers_back_, 1)  // [n, L', E, layers_back]
      .permute({1, 0, 3, 2})
      .reshape({num_layers(), routed.size(0), -1});
}

torch::Tensor TransformerPredictor::logits(const NamedTensors& parameters, const WindowBatch& batch,
                                           torch::ScalarType dtype,
                                           std::optional<at::Generator> dropout) const {
  const int64_t experts = geometry().num_experts;
  const torch::Tensor routed = multi_hot(batch.experts, experts);
  const torch::Tensor context = context_of(parameters, batch, routed, dtype, dropout);
  const torch::Tensor sum =
      (product(context, parameters.at("out"), dtype) + parameters.at("out_bias"))
          .view({batch.ids.size(0), num_layers(), -1})
          .transpose(0, 1);
  if (!by_layer()) return sum;
  const std::vector<torch::Tensor> parts =
      (sum + product(known_layers(routed), parameters.at("known"), dtype))
          .split_with_sizes({experts, layer_width_}, 2);
  const torch::Tensor inner = drop(torch::silu(parts[1]), dropout_, dropout);
  return parts[0] + product(inner, parameters.at("layer_out"), dtype);
}

void TransformerPredictor::fit(const FitInputs& inputs) {
  train_alone(*this, inputs);
}

std::unique_ptr<Training> TransformerPredictor::start_training(const FitInputs& inputs) {
  require_inputs(*this, inputs.corpus);
  auto task = std::make_unique<SequenceTask>(*this, inputs, training_, context_);
  ids_ = task->ids();
  const NamedTensors initial = initial_parameters(ids_.size(0), inputs.environment.seed);
  return std::make_unique<Training>(
      std::move(task), initial, training_, inputs.environment, inputs.run,
      fmt::format("training {} at {}", name(), scoring::lead_name(lead())));
}

void TransformerPredictor::end_training(Training& training) {
  parameters_ = training.result();
}

torch::Tensor TransformerPredictor::score(const RoutedText& text) const {
  const torch::NoGradGuard no_grad;
  const int64_t tokens = text.num_tokens();
  const torch::Tensor ids = indices_of(ids_, text.token_ids).to(device_);
  const torch::Tensor experts = text.experts.to(device_);
  // Windows overlap by half, so that every token but the first ones has half a window before it.
  const int64_t stride = context_ - context_ / 2;
  std::vector<torch::Tensor> scores = {
      torch::empty({0, num_layers(), geometry().num_experts}, ids.device())};
  for (int64_t first = 0, done = 0; done < tokens; first += stride) {
    const TokenWindow window{first, std::min(context_, tokens - first)};
    const torch::Tensor all =
        logits(parameters_, gather_windows({ids, experts, {}}, {window}), torch::kFloat32, {});
    scores.push_back(all.transpose(0, 1).slice(0, done - first));
    done = first + window.size;
  }
  return torch::cat(scores).contiguous().cpu();
}

void TransformerPredictor::run_on(const torch::Device& device) {
  device_ = device;
  for (auto& [name, tensor] : parameters_) tensor = tensor.to(device);
}

NamedTensors TransformerPredictor::weights() const {
  NamedTensors weights = parameters_;
  weights["ids"] = ids_;
  return weights;
}

void TransformerPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  ids_ = take_weight(weights, "ids", {-1}, torch::kInt64, where);
  parameters_.clear();
  for (const auto& [name, tensor] : initial_parameters(ids_.size(0), 0)) {
    parameters_[name] = take_weight(weights, name, tensor.sizes(), torch::kFloat32, where);
  }
}

Json TransformerPredictor::settings() const {
  Json json = training_.to_json();
  json["width"] = width_;
  json["blocks"] = blocks_;
  json["heads"] = heads_;
  json["context"] = context_;
  json["dropout"] = dropout_;
  json["layers_back"] = layers_back_;
  json["layer_width"] = layer_width_;
  return json;
}

}  // namespace foregate::predict
