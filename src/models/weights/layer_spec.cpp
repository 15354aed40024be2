#include "models/weights/layer_spec.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

namespace foregate::models {
namespace {

using Shape = std::vector<int64_t>;
using Setter = void (*)(LayerWeights&, tensor::Weight);

/// Where the two matrices of a gated MLP belong.
struct MlpSlots {
  Setter gate_up;
  Setter down;
};

// The alternative that the layer's first weight of its kind makes it hold.
template <typename Kind, typename Variant>
Kind& held(Variant& variant) {
  if (!std::holds_alternative<Kind>(variant)) variant = Kind();
  return std::get<Kind>(variant);
}

MoeWeights& moe_of(LayerWeights& layer) {
  return held<MoeWeights>(layer.mlp);
}
nn::MlpWeights& dense_of(LayerWeights& layer) {
  return held<nn::MlpWeights>(layer.mlp);
}
GroupedQueryAttention& grouped_query_of(LayerWeights& layer) {
  return held<GroupedQueryAttention>(layer.attention);
}

LatentAttention& latent_of(LayerWeights& layer) {
  return held<LatentAttention>(layer.attention);
}

constexpr MlpSlots kDenseSlots = {
    [](LayerWeights& layer, tensor::Weight w) { dense_of(layer).gate_up = std::move(w); },
    [](LayerWeights& layer, tensor::Weight w) { dense_of(layer).down = std::move(w); }};
constexpr MlpSlots kExpertSlots = {
    [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).experts.gate_up = std::move(w); },
    [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).experts.down = std::move(w); }};
constexpr MlpSlots kSharedSlots = {
    [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).shared.gate_up = std::move(w); },
    [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).shared.down = std::move(w); }};

/// Lists one layer's weights.
class LayerDescription {
 public:
  LayerDescription(const ModelConfig& config, const WeightNames& names, int64_t layer)
      : config_(config), names_(names), layer_(layer) {}

  std::vector<WeightSpec> describe(const ExpertLayout& layout) {
    add_norm(names_.input_norm, config_.hidden_size,
             [](LayerWeights& layer, tensor::Weight w) { layer.input_norm = w.dense(); });
    add_norm_bias(names_.input_norm_bias,
                  [](LayerWeights& layer, tensor::Weight w) { layer.input_norm_bias = w.dense(); });
    std::visit([&](const auto& attention) { add_attention(attention); }, config_.attention);
    add_norm(names_.post_attention_norm, config_.hidden_size,
             [](LayerWeights& layer, tensor::Weight w) { layer.post_attention_norm = w.dense(); });
    add_norm_bias(names_.post_attention_norm_bias, [](LayerWeights& layer, tensor::Weight w) {
      layer.post_attention_norm_bias = w.dense();
    });
    if (config_.is_moe_layer(layer_)) {
      add_moe(layout);
    } else {
      add_mlp({names_.dense_gate, names_.dense_up, names_.dense_down},
              config_.dense_intermediate_size, Role::kRouting, kDenseSlots);
    }
    return std::move(specs_);
  }

 private:
  void add_attention(const GroupedQueryConfig& attention) {
    WeightSpec qkv = matrix(
        {attention.qkv_size(), config_.hidden_size},
        [](LayerWeights& layer, tensor::Weight w) { grouped_query_of(layer).qkv = std::move(w); });
    WeightSpec bias =
        vector({attention.qkv_size()}, Start::kZeros, [](LayerWeights& layer, tensor::Weight w) {
          grouped_query_of(layer).qkv_bias = w.dense();
        });
    const std::array<std::pair<const std::string&, int64_t>, 3> projections = {
        {{names_.query, attention.query_size()},
         {names_.key, attention.key_size()},
         {names_.value, attention.key_size()}}};
    for (const auto& [name, rows] : projections) {
      extend(qkv, name + ".weight", rows);
      if (attention.qkv_bias) extend(bias, name + ".bias", rows);
    }
    specs_.push_back(std::move(qkv));
    if (attention.qkv_bias) specs_.push_back(std::move(bias));
    if (attention.qk_norm != QkNorm::kNone) add_qk_norms(attention);
    WeightSpec output = matrix({config_.hidden_size, attention.query_size()},
                               [](LayerWeights& layer, tensor::Weight w) {
                                 grouped_query_of(layer).output = std::move(w);
                               });
    extend(output, names_.attention_output + ".weight", config_.hidden_size);
    specs_.push_back(std::move(output));
    if (attention.output_bias) {
      WeightSpec output_bias =
          vector({config_.hidden_size}, Start::kZeros, [](LayerWeights& layer, tensor::Weight w) {
            grouped_query_of(layer).output_bias = w.dense();
          });
      extend(output_bias, names_.attention_output + ".bias", config_.hidden_size);
      specs_.push_back(std::move(output_bias));
    }
    if (!attention.sinks) return;
    WeightSpec sinks = vector(
        {attention.num_heads}, Start::kZeros,
        [](LayerWeights& layer, tensor::Weight w) { grouped_query_of(layer).sinks = w.dense(); });
    sinks.keep = Keep::kFloat32;
    extend(sinks, names_.sinks, attention.num_heads);
    specs_.push_back(std::move(sinks));
  }

  void add_attention(const LatentConfig& attention) {
    const int64_t hidden = config_.hidden_size;
    const bool low_rank = attention.query_rank > 0;
    if (low_rank) {
      add_matrix(names_.query_down, attention.query_rank, hidden,
                 [](LayerWeights& layer, tensor::Weight w) {
                   latent_of(layer).query_down = std::move(w);
                 });
      add_norm(
          names_.query_down_norm, attention.query_rank,
          [](LayerWeights& layer, tensor::Weight w) { latent_of(layer).query_norm = w.dense(); });
    }
    add_matrix(low_rank ? names_.query_up : names_.query + ".weight", attention.query_size(),
               low_rank ? attention.query_rank : hidden, [](LayerWeights& layer, tensor::Weight w) {
                 latent_of(layer).query = std::move(w);
               });
    add_matrix(
        names_.latent, attention.latent_size(), hidden,
        [](LayerWeights& layer, tensor::Weight w) { latent_of(layer).latent = std::move(w); });
    add_norm(names_.latent_norm, attention.kv_rank, [](LayerWeights& layer, tensor::Weight w) {
      latent_of(layer).latent_norm = w.dense();
    });
    add_matrix(
        names_.latent_expand, attention.expanded_size(), attention.kv_rank,
        [](LayerWeights& layer, tensor::Weight w) { latent_of(layer).expand = std::move(w); });
    add_matrix(
        names_.attention_output + ".weight", hidden, attention.mixed_size(),
        [](LayerWeights& layer, tensor::Weight w) { latent_of(layer).output = std::move(w); });
  }

  void add_qk_norms(const GroupedQueryConfig& attention) {
    const bool by_head = attention.qk_norm == QkNorm::kHead;
    add_norm(names_.query_norm, by_head ? attention.head_dim : attention.query_size(),
             [](LayerWeights& layer, tensor::Weight w) {
               grouped_query_of(layer).query_norm = w.dense();
             });
    add_norm(names_.key_norm, by_head ? attention.head_dim : attention.key_size(),
             [](LayerWeights& layer, tensor::Weight w) {
               grouped_query_of(layer).key_norm = w.dense();
             });
  }

  void add_moe(const ExpertLayout& layout) {
    WeightSpec router =
        vector({config_.num_experts, config_.hidden_size}, Start::kNormal,
               [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).router = w.dense(); });
    router.keep = Keep::kFloat32;
    extend(router, names_.router, config_.num_experts);
    specs_.push_back(std::move(router));
    add_router_biases();
    add_experts(layout);
    if (config_.shared_intermediate_size > 0) {
      add_mlp({names_.shared_gate, names_.shared_up, names_.shared_down},
              config_.shared_intermediate_size, Role::kSharedExpert, kSharedSlots);
    }
    if (!config_.shared_expert_gate) return;
    WeightSpec gate = vector(
        {1, config_.hidden_size}, Start::kNormal,
        [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).shared_gate = w.dense(); });
    gate.role = Role::kSharedExpert;
    extend(gate, names_.shared_expert_gate, 1);
    specs_.push_back(std::move(gate));
  }

  void add_router_biases() {
    const auto add = [&](const std::string& pattern, Setter set, bool is_row = false) {
      const int64_t rows = is_row ? 1 : config_.num_experts;
      WeightSpec bias = vector(is_row ? Shape{1, config_.num_experts} : Shape{config_.num_experts},
                               Start::kZeros, set);
      bias.keep = Keep::kFloat32;
      extend(bias, pattern, rows);
      specs_.push_back(std::move(bias));
    };
    if (config_.router_logit_bias) {
      add(names_.router_logit_bias, [](LayerWeights& layer, tensor::Weight w) {
        moe_of(layer).router_biases.logit = w.dense();
      });
    }
    if (config_.router_choice_bias) {
      add(
          names_.router_choice_bias,
          [](LayerWeights& layer, tensor::Weight w) {
            moe_of(layer).router_biases.choice = w.dense().flatten();
          },
          names_.router_choice_bias_is_row);
    }
  }

  void add_experts(const ExpertLayout& layout) {
    const int64_t experts = config_.num_experts;
    const int64_t inner = config_.expert_intermediate_size;
    WeightSpec gate_up = matrix({experts, 2 * inner, config_.hidden_size}, kExpertSlots.gate_up);
    WeightSpec down = matrix({experts, config_.hidden_size, inner}, kExpertSlots.down);
    if (layout.fused) {
      extend(gate_up, names_.fused_expert_gate_up, experts);
      gate_up.parts.back().arrangement = {layout.transposed, layout.interleaved};
      extend(down, names_.fused_expert_down, experts);
      down.parts.back().arrangement = {.transposed = layout.transposed};
    } else {
      extend(gate_up, names_.expert_gate, inner, /*each_expert=*/true);
      extend(gate_up, names_.expert_up, inner, /*each_expert=*/true);
      extend(down, names_.expert_down, config_.hidden_size, /*each_expert=*/true);
    }
    gate_up.role = down.role = Role::kRoutedExperts;
    specs_.push_back(std::move(gate_up));
    specs_.push_back(std::move(down));
    if (config_.expert_bias) add_expert_biases(layout);
  }

  void add_expert_biases(const ExpertLayout& layout) {
    WeightSpec gate_up = vector({config_.num_experts, 2 * config_.expert_intermediate_size},
                                Start::kZeros, [](LayerWeights& layer, tensor::Weight w) {
                                  moe_of(layer).experts.gate_up_bias = w.dense();
                                });
    WeightSpec down = vector(
        {config_.num_experts, config_.hidden_size}, Start::kZeros,
        [](LayerWeights& layer, tensor::Weight w) { moe_of(layer).experts.down_bias = w.dense(); });
    if (layout.fused || names_.expert_gate_bias.empty()) {
      extend(gate_up, names_.fused_expert_gate_up_bias, config_.num_experts);
      gate_up.parts.back().arrangement = {.interleaved = layout.bias_interleaved};
      extend(down, names_.fused_expert_down_bias, config_.num_experts);
    } else {
      const int64_t inner = config_.expert_intermediate_size;
      extend(gate_up, names_.expert_gate_bias, inner, /*each_expert=*/true);
      extend(gate_up, names_.expert_up_bias, inner, /*each_expert=*/true);
      extend(down, names_.expert_down_bias, config_.hidden_size, /*each_expert=*/true);
    }
    gate_up.role = down.role = Role::kRoutedExperts;
    specs_.push_back(std::move(gate_up));
    specs_.push_back(std::move(down));
  }

  struct MlpNames {
    const std::string& gate;
    const std::string& up;
    const std::string& down;
  };
  void add_mlp(const MlpNames& names, int64_t inner, Role role, const MlpSlots& slots) {
    WeightSpec gate_up = matrix({2 * inner, config_.hidden_size}, slots.gate_up);
    WeightSpec down = matrix({config_.hidden_size, inner}, slots.down);
    extend(gate_up, names.gate, inner);
    extend(gate_up, names.up, inner);
    extend(down, names.down, config_.hidden_size);
    gate_up.role = down.role = role;
    specs_.push_back(std::move(gate_up));
    specs_.push_back(std::move(down));
  }

  void add_matrix(const std::string& pattern, int64_t rows, int64_t columns, Setter set) {
    WeightSpec spec = matrix({rows, columns}, set);
    extend(spec, pattern, rows);
    specs_.push_back(std::move(spec));
  }

  void add_norm(const std::string& pattern, int64_t size, Setter set) {
    WeightSpec norm = vector({size}, Start::kOnes, set);
    extend(norm, pattern, size);
    specs_.push_back(std::move(norm));
  }

  // Of LayerNorms; RMSNorms have none.
  void add_norm_bias(const std::string& pattern, Setter set) {
    if (config_.norm != NormKind::kLayer) return;
    WeightSpec bias = vector({config_.hidden_size}, Start::kZeros, set);
    extend(bias, pattern, config_.hidden_size);
    specs_.push_back(std::move(bias));
  }

  static WeightSpec matrix(Shape shape, Setter set) {
    return {.shape = std::move(shape), .keep = Keep::kQuantizable, .set = set};
  }
  static WeightSpec vector(Shape shape, Start start, Setter set) {
    return {.shape = std::move(shape), .keep = Keep::kComputeDtype, .start = start, .set = set};
  }

  // The next tensor of the checkpoint fills the next rows of `spec`.
  void extend(WeightSpec& spec, const std::string& pattern, int64_t rows,
              bool each_expert = false) {
    const int64_t first =
        spec.parts.empty() ? 0 : spec.parts.back().first_row + spec.parts.back().rows;
    spec.parts.push_back({.pattern = pattern,
                          .layer = layer_,
                          .each_expert = each_expert,
                          .first_row = first,
                          .rows = rows,
                          .order = next_++});
  }

  const ModelConfig& config_;
  const WeightNames& names_;
  int64_t layer_;
  int next_ = 0;
  std::vector<WeightSpec> specs_;
};

WeightSpec outer_weight(const std::string& name, Shape shape, Start start) {
  const int64_t rows = shape.front();
  return {.shape = std::move(shape),
          .keep = Keep::kComputeDtype,
          .start = start,
          .parts = {{.pattern = name, .rows = rows}}};
}

}  // namespace

int64_t WeightSpec::size() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::vector<WeightSpec> describe_layer(const ModelConfig& config, const WeightNames& names,
                                       int64_t layer, const ExpertLayout& experts) {
  return LayerDescription(config, names, layer).describe(experts);
}

OuterWeightSpecs describe_outer_weights(const ModelConfig& config, const WeightNames& names) {
  const Shape table = {config.vocab_size, config.hidden_size};
  OuterWeightSpecs outer{
      .embedding = outer_weight(names.embedding, table, Start::kNormal),
      .final_norm = outer_weight(names.final_norm, {config.hidden_size}, Start::kOnes),
      .final_norm_bias = {},
      .lm_head = outer_weight(names.lm_head, table, Start::kNormal),
      .lm_head_bias = {}};
  if (config.norm == NormKind::kLayer) {
    outer.final_norm_bias =
        outer_weight(names.final_norm_bias, {config.hidden_size}, Start::kZeros);
  }
  if (config.lm_head_bias) {
    outer.lm_head_bias = outer_weight(names.lm_head_bias, {config.vocab_size}, Start::kZeros);
  }
  return outer;
}

std::string PartTensor::name() const {
  return weight_name(part->pattern, part->layer, expert);
}

std::vector<int64_t> PartTensor::shape() const {
  Shape shape(weight->shape.begin() + (part->each_expert ? 1 : 0), weight->shape.end());
  shape.front() = part->rows;
  return stored_shape(std::move(shape), part->arrangement);
}

tensor::Weight PartTensor::rows_of(const tensor::Weight& whole) const {
  return (part->each_expert ? whole[expert] : whole).narrow(part->first_row, part->rows);
}

std::vector<PartTensor> tensors_of(std::span<const WeightSpec> specs) {
  std::vector<PartTensor> parts;
  for (const WeightSpec& spec : specs) {
    for (const WeightPart& part : spec.parts) parts.push_back({&spec, &part});
  }
  std::stable_sort(parts.begin(), parts.end(), [](const PartTensor& a, const PartTensor& b) {
    return a.part->order < b.part->order;
  });
  std::vector<PartTensor> tensors;
  for (size_t i = 0; i < parts.size();) {
    size_t end = i + 1;  // of a run of parts that every expert has
    if (!parts[i].part->each_expert) {
      tensors.push_back(parts[i]);
    } else {
      while (end < parts.size() && parts[end].part->each_expert) ++end;
      for (int64_t expert = 0; expert < parts[i].weight->shape.front(); ++expert) {
        for (size_t j = i; j < end; ++j) {
          tensors.push_back({parts[j].weight, parts[j].part, expert});
        }
      }
    }
    i = end;
  }
  return tensors;
}

}  // namespace foregate::models
