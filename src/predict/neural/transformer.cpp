#include "predict/neural/transformer.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "base/error.h"
#include "predict/training/streamed_task.h"
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

scoring::TransformerSizes sizes_from(const JsonReader& settings) {
  scoring::TransformerSizes sizes{};
  sizes.width = settings.integer("width", 2, kMaxSetting, 256);
  sizes.blocks = settings.integer("blocks", 1, 256, 1);
  sizes.heads = settings.integer("heads", 1, sizes.width / 2, 4);
  sizes.context = settings.integer("context", 2, kMaxSetting, 256);
  sizes.layers_back = settings.integer("layers_back", 1, kMaxSetting, 8);
  sizes.layer_width = settings.integer("layer_width", 1, kMaxSetting, 128);
  if (sizes.width % (2 * sizes.heads) != 0) {
    settings.fail("width", fmt::format("a multiple of twice the {} heads", sizes.heads));
  }
  return sizes;
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

Init embeddings() {
  return [](at::IntArrayRef shape, InitSource& source) {
    torch::Tensor table = init::normal(kInputScale)(shape, source);
    // Nothing is known of an id that training never saw.
    table[shape.front() - 1].zero_();
    return table;
  };
}

Init linear(int64_t inputs) {
  return init::normal(0.5 / std::sqrt(static_cast<double>(inputs)));
}

/// Logits begin at that of an expert of which nothing is known, what else comes out at zero.
Init logit_bias(int64_t layers, const trace::Geometry& geometry) {
  return [layers, geometry](at::IntArrayRef shape, InitSource& /*source*/) {
    torch::Tensor bias = torch::zeros(shape);
    bias.view({layers, -1}).slice(1, 0, geometry.num_experts).fill_(prior_logit(geometry));
    return bias;
  };
}

}  // namespace

TransformerPredictor::TransformerPredictor(std::string name, scoring::Lead lead,
                                           trace::Geometry geometry, const JsonReader& settings)
    : GradientPredictor(std::move(name), lead, std::move(geometry),
                        TrainerSettings::from_json(settings, transformer_training())),
      sizes_(sizes_from(settings)),
      dropout_(settings.number("dropout", 0, 0.99, 0)),
      ids_(torch::empty({0}, torch::kInt64)) {}

std::vector<ParameterSpec> TransformerPredictor::parameters(int64_t num_ids) const {
  const int64_t layers = num_layers();
  const int64_t experts = geometry().num_experts;
  const auto chosen = static_cast<double>(geometry().num_moe_layers * geometry().top_k);
  std::map<std::string, Init> inits = {{"embedding", embeddings()},
                                       {"routing", init::normal(kInputScale / std::sqrt(chosen))},
                                       {"norm", init::ones()},
                                       {"out", init::normal(0.02)},
                                       {"out_bias", logit_bias(layers, geometry())}};
  const Init in = linear(sizes_.width);
  for (int64_t i = 0; i < sizes_.blocks; ++i) {
    inits[scoring::in_block(i, "attention_norm")] = init::ones();
    inits[scoring::in_block(i, "attention_in")] = in;
    inits[scoring::in_block(i, "attention_out")] = init::times(kInputScale, in);
    inits[scoring::in_block(i, "mlp_norm")] = init::ones();
    inits[scoring::in_block(i, "mlp_in")] = in;
    inits[scoring::in_block(i, "mlp_in_bias")] = init::zeros();
    inits[scoring::in_block(i, "mlp_out")] = init::times(kInputScale, linear(4 * sizes_.width));
  }
  if (by_layer()) {
    const auto known = static_cast<double>(sizes_.layers_back * geometry().top_k);
    inits["known"] = init::after_zeros(experts, init::normal(1 / std::sqrt(known)));
    inits["layer_out"] = init::zeros();
  }
  return with_inits(scoring::transformer_layout(geometry(), lead(), sizes_, num_ids), inits);
}

torch::Tensor TransformerPredictor::context_of(const NamedTensors& parameters,
                                               const WindowBatch& batch,
                                               const torch::Tensor& routed,
                                               torch::ScalarType dtype) const {
  const int64_t tokens = batch.ids.size(0);
  const auto weight = [&](int64_t block, const char* name) {
    return parameters.at(scoring::in_block(block, name));
  };
  // The routing of the token before, none in front of a window.
  const torch::Tensor before = routed.flatten(1).roll(1, 0) * batch.places.gt(0).unsqueeze(1);
  torch::Tensor x = torch::embedding(parameters.at("embedding"), batch.ids) +
                    product(before, parameters.at("routing"), dtype);
  x = drop(x, dropout_, batch.dropout);
  for (int64_t i = 0; i < sizes_.blocks; ++i) {
    const torch::Tensor all =
        product(normalize(x, weight(i, "attention_norm")), weight(i, "attention_in"), dtype);
    const torch::Tensor laid_out =
        torch::cat({all, torch::zeros({1, 3 * sizes_.width}, all.options())})
            .index_select(0, batch.padded)
            .to(dtype)
            .view({batch.windows, batch.longest, 3, sizes_.heads, -1})
            .permute({2, 0, 3, 1, 4});
    const torch::Tensor attended =
        torch::scaled_dot_product_attention(rotate(laid_out[0]), rotate(laid_out[1]), laid_out[2],
                                            {}, 0.0, /*is_causal=*/true)
            .transpose(1, 2)
            .reshape({-1, sizes_.width})
            .index_select(0, batch.flat);
    x = x + drop(product(attended, weight(i, "attention_out"), dtype), dropout_, batch.dropout);
    const torch::Tensor inner =
        torch::silu(product(normalize(x, weight(i, "mlp_norm")), weight(i, "mlp_in"), dtype) +
                    weight(i, "mlp_in_bias"));
    x = x + drop(product(inner, weight(i, "mlp_out"), dtype), dropout_, batch.dropout);
  }
  return drop(normalize(x, parameters.at("norm")), dropout_, batch.dropout)
      .view({tokens, sizes_.width});
}

torch::Tensor TransformerPredictor::known_layers(const torch::Tensor& routed) const {
  // Predictable layer l' knows layers l', l' - 1, ...; in front of the first one there is nothing.
  const torch::Tensor nothing =
      torch::zeros({routed.size(0), sizes_.layers_back - 1, routed.size(2)}, routed.options());
  return torch::cat({nothing, routed.slice(1, 0, num_layers())}, 1)
      .unfold(1, sizes_.layers_back, 1)  // [n, L', E, layers_back]
      .permute({1, 0, 3, 2})
      .reshape({num_layers(), routed.size(0), -1});
}

torch::Tensor TransformerPredictor::logits(const NamedTensors& parameters, const WindowBatch& batch,
                                           torch::ScalarType dtype) const {
  const int64_t experts = geometry().num_experts;
  const torch::Tensor routed = multi_hot(batch.experts, experts);
  const torch::Tensor context = context_of(parameters, batch, routed, dtype);
  const torch::Tensor sum =
      (product(context, parameters.at("out"), dtype) + parameters.at("out_bias"))
          .view({batch.ids.size(0), num_layers(), -1})
          .transpose(0, 1);
  if (!by_layer()) return sum;
  const std::vector<torch::Tensor> parts =
      (sum + product(known_layers(routed), parameters.at("known"), dtype))
          .split_with_sizes({experts, sizes_.layer_width}, 2);
  const torch::Tensor inner = drop(torch::silu(parts[1]), dropout_, batch.dropout);
  return parts[0] + product(inner, parameters.at("layer_out"), dtype);
}

std::unique_ptr<TrainingTask> TransformerPredictor::make_task(const FitInputs& inputs) {
  TokenWindows::Options options{.device = inputs.environment.device,
                                .gate_weights = needs_gate_weights()};
  TokenWindows windows(geometry(), lead(), sizes_.context, options);
  options.gate_weights = false;
  TokenWindows validation(geometry(), lead(), sizes_.context, options);
  if (inputs.stream != nullptr) {
    ids_ = inputs.stream->ids();
  } else {
    windows.read(inputs.corpus, trace::Split::kTrain);
    validation.read(inputs.corpus, trace::Split::kValidation);
    ids_ = std::get<0>(at::_unique(windows.ids(), /*sorted=*/true));
  }
  if (ids_.size(0) == 0) {
    throw DataError(fmt::format("{}: the training split has no token; collect more texts",
                                inputs.corpus.name()));
  }
  windows.look_up(ids_);
  validation.look_up(ids_);
  const auto logits_of = [this](const NamedTensors& parameters, const WindowBatch& batch,
                                torch::ScalarType dtype) {
    return logits(parameters, batch, dtype);
  };
  return std::make_unique<StreamedTask<TokenWindows>>(std::move(windows), std::move(validation),
                                                      logits_of, inputs, *trainer_settings());
}

torch::Tensor TransformerPredictor::score(const RoutedText& text) const {
  const torch::NoGradGuard no_grad;
  const int64_t tokens = text.num_tokens();
  const torch::Tensor ids = indices_of(ids_, text.token_ids).to(device());
  const torch::Tensor experts = text.experts.to(device());
  // Windows overlap by half, so that every token but the first ones has half a window before it.
  const int64_t stride = sizes_.context - sizes_.context / 2;
  std::vector<torch::Tensor> scores = {
      torch::empty({0, num_layers(), geometry().num_experts}, ids.device())};
  for (int64_t first = 0, done = 0; done < tokens; first += stride) {
    const TokenWindow window{first, std::min(sizes_.context, tokens - first)};
    const torch::Tensor all =
        logits(values_, gather_windows({ids, experts, {}}, {window}), torch::kFloat32);
    scores.push_back(all.transpose(0, 1).slice(0, done - first));
    done = first + window.size;
  }
  return torch::cat(scores).contiguous().cpu();
}

NamedTensors TransformerPredictor::weights() const {
  NamedTensors weights = values_;
  weights["ids"] = ids_;
  return weights;
}

void TransformerPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  ids_ = take_weight(weights, "ids", {-1}, torch::kInt64, where);
  GradientPredictor::set_weights(weights, where);
}

Settings TransformerPredictor::settings() const {
  Settings settings = GradientPredictor::settings();
  settings.emplace_back("width", sizes_.width);
  settings.emplace_back("blocks", sizes_.blocks);
  settings.emplace_back("heads", sizes_.heads);
  settings.emplace_back("context", sizes_.context);
  settings.emplace_back("dropout", dropout_);
  settings.emplace_back("layers_back", sizes_.layers_back);
  settings.emplace_back("layer_width", sizes_.layer_width);
  return settings;
}

}  // namespace foregate::predict
