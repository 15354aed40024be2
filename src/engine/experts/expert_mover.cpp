#include "engine/experts/expert_mover.h"

#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace foregate::engine {
namespace {

using Clock = std::chrono::steady_clock;

int64_t bytes_of(const std::vector<ExpertPiece>& pieces, size_t end) {
  int64_t bytes = 0;
  for (size_t i = 0; i < end; ++i) bytes += static_cast<int64_t>(pieces[i].from.nbytes());
  return bytes;
}

}  // namespace

ExpertMover::ExpertMover(std::unique_ptr<CopyLane> lane, int pieces, size_t num_experts,
                         Hooks hooks)
    : lane_(std::move(lane)),
      pieces_(pieces),
      hooks_(std::move(hooks)),
      states_(num_experts, State::kIdle) {
  if (pieces_ > 0) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

ExpertMover::~ExpertMover() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  changed_.notify_all();
  thread_.join();
}

void ExpertMover::check() const {
  if (!failure_.empty()) throw DeviceError(failure_);
}

void ExpertMover::fail(size_t expert, const char* why) {
  failure_ = fmt::format("bringing {} from the host's memory failed: {}", hooks_.name(expert), why);
  jobs_.clear();
  std::ranges::fill(states_, State::kIdle);
  changed_.notify_all();
}

std::deque<ExpertMover::Job>::iterator ExpertMover::find(size_t expert) {
  return std::ranges::find(jobs_, expert, &Job::expert);
}

std::deque<ExpertMover::Job>::iterator ExpertMover::next_job() {
  auto best = jobs_.begin();
  for (auto job = jobs_.begin(); job != jobs_.end() && !best->demand; ++job) {
    if (job->demand || job->need < best->need) best = job;
  }
  return best;
}

// Pieces of about the same size, none of them across two parts.
std::vector<ExpertPiece> ExpertMover::cut(const std::vector<ExpertPiece>& parts) const {
  const int64_t size = std::max<int64_t>(1, bytes_of(parts, parts.size()) / std::max(1, pieces_));
  std::vector<ExpertPiece> pieces;
  for (const ExpertPiece& part : parts) {
    const int64_t bytes = part.from.size(0);
    const int64_t count = std::max<int64_t>(1, (bytes + size / 2) / size);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = bytes * i / count;
      const int64_t length = bytes * (i + 1) / count - first;
      pieces.push_back({part.to.narrow(0, first, length), part.from.narrow(0, first, length)});
    }
  }
  return pieces;
}

void ExpertMover::demand(size_t expert, ExpertRoute route) {
  Job job{.number = next_number_++,
          .expert = expert,
          .demand = true,
          .begun = true,
          .pieces = std::move(route.parts),
          .after = std::move(route.after)};
  states_[expert] = State::kQueued;
  if (!thread_.joinable()) {
    const Clock::time_point began = Clock::now();
    try {
      for (const ExpertPiece& piece : job.pieces) {
        job.tickets.push_back(lane_->begin(piece, job.after));
      }
    } catch (const std::exception& error) {
      fail(expert, error.what());
      check();
    }
    states_[expert] = State::kMoving;
    hooks_.moved(expert, false, bytes_of(job.pieces, job.pieces.size()),
                 std::chrono::duration<double>(Clock::now() - began).count());
  }
  jobs_.push_back(std::move(job));
  changed_.notify_all();
}

void ExpertMover::prefetch(size_t expert, int64_t need) {
  states_[expert] = State::kQueued;
  jobs_.push_back({.number = next_number_++, .expert = expert, .need = need, .prefetched = true});
  changed_.notify_all();
}

void ExpertMover::promote(size_t expert) {
  const auto job = find(expert);
  if (job != jobs_.end()) job->demand = true;
}

int64_t ExpertMover::drop(size_t expert) {
  const auto job = find(expert);
  if (job == jobs_.end()) return 0;
  // One that is moving was counted when it began.
  const int64_t moved = bytes_of(job->pieces, job->next);
  jobs_.erase(job);
  states_[expert] = State::kIdle;
  changed_.notify_all();
  return moved;
}

void ExpertMover::wait(size_t expert) {
  std::unique_lock guard(mutex_);
  check();
  if (thread_.joinable()) {
    changed_.wait(guard, [&] { return states_[expert] == State::kIdle; });
    check();
    return;
  }
  const auto job = find(expert);
  if (job == jobs_.end()) return;
  try {
    for (const CopyLane::Ticket ticket : job->tickets) lane_->finish_on_stream(ticket);
  } catch (const std::exception& error) {
    fail(expert, error.what());
    check();
  }
  jobs_.erase(job);
  states_[expert] = State::kIdle;
}

void ExpertMover::run(const std::stop_token& stop) {
  std::unique_lock guard(mutex_);
  while (changed_.wait(guard, stop, [&] { return !jobs_.empty(); })) {
    if (stop.stop_requested()) return;
    move_next(guard);
  }
}

void ExpertMover::move_next(std::unique_lock<std::mutex>& guard) {
  Job& job = *next_job();
  const size_t expert = job.expert;
  if (!job.begun) {
    std::optional<ExpertRoute> route = hooks_.begin(expert);
    if (!route) {
      jobs_.erase(find(expert));
      states_[expert] = State::kIdle;
      changed_.notify_all();
      return;
    }
    job.begun = true;
    job.pieces = cut(route->parts);
    job.after = std::move(route->after);
  }
  states_[expert] = State::kMoving;
  const uint64_t number = job.number;
  const bool prefetched = job.prefetched;
  const size_t count = job.demand ? job.pieces.size() - job.next : 1;
  const std::vector<ExpertPiece> pieces(
      job.pieces.begin() + static_cast<std::ptrdiff_t>(job.next),
      job.pieces.begin() + static_cast<std::ptrdiff_t>(job.next + count));
  const tensor::DeviceEvent after = job.after;
  job.next += count;

  guard.unlock();
  const Clock::time_point began = Clock::now();
  std::string why;
  try {
    std::vector<CopyLane::Ticket> tickets;
    for (const ExpertPiece& piece : pieces) tickets.push_back(lane_->begin(piece, after));
    for (const CopyLane::Ticket ticket : tickets) lane_->finish(ticket);
  } catch (const std::exception& error) {
    why = error.what();
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  guard.lock();

  if (!why.empty()) return fail(expert, why.c_str());
  hooks_.moved(expert, prefetched, bytes_of(pieces, pieces.size()), seconds);
  const auto same = std::ranges::find(jobs_, number, &Job::number);  // unless it was dropped
  if (same == jobs_.end() || same->next < same->pieces.size()) return;
  jobs_.erase(same);
  states_[expert] = State::kIdle;
  changed_.notify_all();
}

}  // namespace foregate::engine
