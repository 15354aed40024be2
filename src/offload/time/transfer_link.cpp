#include "offload/time/transfer_link.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace foregate::offload {
namespace {

constexpr double kForever = std::numeric_limits<double>::infinity();

}  // namespace

TransferLink::TransferLink(const LinkSpeed& speed, double bytes, int pieces, size_t num_experts,
                           Hooks hooks)
    : speed_(speed),
      bytes_(bytes),
      whole_seconds_(speed.seconds(bytes)),
      pieces_(pieces),
      hooks_(std::move(hooks)),
      states_(num_experts, State::kIdle),
      arrivals_(num_experts) {}

void TransferLink::demand(size_t expert, double now, double ready) {
  states_[expert] = State::kQueued;
  jobs_.push_back({expert, 0, std::max(now, ready), pieces_, true, false});
}

void TransferLink::prefetch(size_t expert, int64_t need, double now, double ready) {
  states_[expert] = State::kQueued;
  jobs_.push_back({expert, need, std::max(now, ready), pieces_, false, false});
}

std::vector<TransferLink::Job>::iterator TransferLink::find(size_t expert) {
  return std::find_if(jobs_.begin(), jobs_.end(),
                      [&](const Job& job) { return job.expert == expert; });
}

void TransferLink::promote(size_t expert) {
  const auto job = find(expert);
  if (job != jobs_.end()) job->demand = true;
}

double TransferLink::drop(size_t expert) {
  const auto job = find(expert);
  if (job == jobs_.end()) return 0;
  const double moved = bytes_ * (pieces_ - job->pieces_left) / pieces_;
  jobs_.erase(job);
  states_[expert] = State::kIdle;
  return moved;
}

double TransferLink::start_of(const Job& job) const {
  return std::max(free_at_, job.earliest);
}

size_t TransferLink::next_job(double& start) const {
  size_t best = jobs_.size();
  start = kForever;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const Job& job = jobs_[i];
    const double begins = start_of(job);
    if (begins > start) continue;
    const bool better = begins < start || (job.demand && !jobs_[best].demand) ||
                        (!job.demand && !jobs_[best].demand && job.need < jobs_[best].need);
    if (!better) continue;
    best = i;
    start = begins;
  }
  return best;
}

void TransferLink::run(size_t index, double start) {
  Job& job = jobs_[index];
  const int pieces = job.demand ? job.pieces_left : 1;
  const double share = static_cast<double>(pieces) / pieces_;
  const bool resumes = running_ == static_cast<int64_t>(job.expert) && start <= free_at_;
  const double seconds = whole_seconds_ * share + (resumes ? 0 : speed_.issue_seconds);
  running_ = static_cast<int64_t>(job.expert);
  free_at_ = start + seconds;
  states_[job.expert] = State::kMoving;
  job.begun = true;
  job.pieces_left -= pieces;
  (job.demand ? demand_seconds_ : prefetch_seconds_) += seconds;
  if (hooks_.moved) hooks_.moved(job.expert, job.demand, start, seconds);
  if (job.pieces_left > 0) return;
  states_[job.expert] = State::kThere;
  arrivals_[job.expert] = free_at_;
  jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(index));
}

bool TransferLink::run_next(double until) {
  double start = 0;
  const size_t index = next_job(start);
  if (index == jobs_.size() || start >= until) return false;
  Job& job = jobs_[index];
  if (!job.demand && !job.begun && !hooks_.begin(job.expert)) {
    states_[job.expert] = State::kIdle;
    jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(index));
    return true;
  }
  run(index, start);
  return true;
}

void TransferLink::advance(double until) {
  while (run_next(until)) {
  }
}

double TransferLink::arrival(size_t expert) {
  while (states_[expert] != State::kThere) {
    if (!run_next(kForever)) throw std::logic_error("waiting for an expert nobody asked for");
  }
  return arrivals_[expert];
}

}  // namespace foregate::offload
