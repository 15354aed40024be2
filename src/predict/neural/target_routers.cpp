#include "predict/neural/target_routers.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <stdexcept>

#include "base/error.h"
#include "predict/texts/routed_texts.h"

namespace foregate::predict {
namespace {

const nn::Routers& routers_of(const Predictor& predictor, const InitSource& source) {
  if (source.texts == nullptr) throw std::logic_error("routers are asked of no texts");
  if (source.texts->routers()) return *source.texts->routers();
  throw DataError(
      fmt::format("{} starts from the model's routers, and {} has no routers.safetensors; collect "
                  "with --record features, or name the model with --model",
                  predictor.name(), source.texts->name()));
}

torch::Tensor router_weight(const Predictor& predictor, const InitSource& source) {
  return routers_of(predictor, source).weight.slice(0, predictor.first_layer());
}

torch::Tensor gain_of(const Predictor& predictor, const InitSource& source) {
  const torch::Tensor norm =
      routers_of(predictor, source).norm_weight.slice(0, predictor.first_layer());
  const bool before_norm = predictor.lead().kind == scoring::Lead::Kind::kPreAttention;
  return before_norm ? norm : torch::ones_like(norm);
}

// Of the state that the predictor sees, which before the norm lacks its gain.
torch::Tensor router_with_gain(const Predictor& predictor, const InitSource& source) {
  return router_weight(predictor, source) * gain_of(predictor, source).unsqueeze(1);
}

}  // namespace

Init target_router(const Predictor& predictor) {
  return [&predictor](at::IntArrayRef /*shape*/, InitSource& source) {
    return router_weight(predictor, source).clone();
  };
}

Init target_gain(const Predictor& predictor) {
  return [&predictor](at::IntArrayRef /*shape*/, InitSource& source) {
    return gain_of(predictor, source).clone();
  };
}

Init target_router_at_scale(const Predictor& predictor) {
  return [&predictor](at::IntArrayRef /*shape*/, InitSource& source) {
    const torch::Tensor router = router_with_gain(predictor, source);
    if (predictor.lead().kind == scoring::Lead::Kind::kPreAttention) return router;
    const torch::Tensor norms =
        routers_of(predictor, source).norm_weight.slice(0, 0, predictor.num_layers());  // of l - h
    return router * norms.square().mean(1).sqrt().view({-1, 1, 1});
  };
}

Init target_logit_bias(const Predictor& predictor) {
  return [&predictor](at::IntArrayRef /*shape*/, InitSource& source) {
    return routers_of(predictor, source).logit_bias.slice(0, predictor.first_layer()).clone();
  };
}

Init target_choice_bias(const Predictor& predictor) {
  return [&predictor](at::IntArrayRef /*shape*/, InitSource& source) {
    return routers_of(predictor, source).choice_bias.slice(0, predictor.first_layer()).clone();
  };
}

Init scaled_target_router(const Predictor& predictor) {
  return [&predictor](at::IntArrayRef /*shape*/, InitSource& source) {
    return router_with_gain(predictor, source);
  };
}

}  // namespace foregate::predict
