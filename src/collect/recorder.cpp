#include "collect/recorder.h"

namespace foregate::collect {

void Recorder::begin(int64_t num_tokens, torch::Tensor feature_tokens) {
  num_tokens_ = num_tokens;
  feature_tokens_ = std::move(feature_tokens);
  for (torch::Tensor* tensor :
       {&experts_, &gate_weights_, &router_logits_, &router_inputs_, &residual_}) {
    *tensor = torch::Tensor();
  }
}

void Recorder::keep(torch::Tensor& target, int moe_layer, const torch::Tensor& values,
                    torch::ScalarType dtype) {
  if (!target.defined()) {
    target = torch::empty({values.size(0), geometry_.num_moe_layers, values.size(1)},
                          values.options().dtype(dtype));
  }
  target.select(1, moe_layer).copy_(values);
}

void Recorder::on_layer_input(int moe_layer, const torch::Tensor& residual) {
  if (!keeps_features()) return;
  const auto tokens = feature_tokens_.to(residual.device());
  keep(residual_, moe_layer, residual.index_select(0, tokens), torch::kBFloat16);
}

void Recorder::on_router(const engine::RouterEvent& event) {
  keep(experts_, event.moe_layer, event.experts, torch::kInt32);
  keep(gate_weights_, event.moe_layer, event.gate_weights, torch::kFloat16);
  if (options_.logits) keep(router_logits_, event.moe_layer, event.logits, torch::kFloat16);
  if (keeps_features()) {
    const auto tokens = feature_tokens_.to(event.router_input.device());
    keep(router_inputs_, event.moe_layer, event.router_input.index_select(0, tokens),
         event.router_input.scalar_type());
  }
}

void Recorder::finish(BatchResult& result) {
  const auto to_cpu = [this](torch::Tensor& tensor) {
    return tensor.defined() ? copier_.start(std::exchange(tensor, {})) : torch::Tensor();
  };
  result.experts = to_cpu(experts_);
  result.gate_weights = to_cpu(gate_weights_);
  result.router_logits = to_cpu(router_logits_);
  if (options_.states_stay) {
    result.router_inputs = std::exchange(router_inputs_, {});
    result.residual = std::exchange(residual_, {});
  } else {
    result.router_inputs = to_cpu(router_inputs_);
    result.residual = to_cpu(residual_);
  }
  result.ready = copier_.flush();
}

}  // namespace foregate::collect
