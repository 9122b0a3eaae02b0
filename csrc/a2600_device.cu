/* Entry points of the console for CUDA: one environment a call, from device code.
 *
 * They have the calling convention that numba.cuda gives foreign functions: the result goes to the
 * first argument, the returned 0 says that all is well. The caller owns all memory: the state
 * (a26_device_state_bytes, aligned to 8), the ROM (4096 bytes), the picture (210 x 160 bytes) or 0.
 *
 * A26_DEVICE_TRANSLATION names a file that translate.py wrote, A26_DEVICE_RUN its function, and
 * A26_DEVICE_GAME is the game as in a26_game_t: given to the compiler, so that the call of the
 * translation is direct. Without them everything is interpreted, with Pong's paddles and end. */
#ifdef A26_DEVICE_TRANSLATION
#include A26_DEVICE_TRANSLATION
#else
#define A26_DEVICE_RUN ((a2600_run_t)0)
#endif
#define A26_RUN_OF(cartridge) A26_DEVICE_RUN
#include "a26_ale.h"

#ifndef A26_DEVICE_SUMMARIES
#define A26_DEVICE_SUMMARIES 0xFFFFFFFFu /* all that the translation has */
#endif
#ifndef A26_DEVICE_GAME
#define A26_DEVICE_GAME {1, 1, 12, 1, 1}
#endif

static __device__ __forceinline__ a26_cartridge_t a26_device_cartridge(const uint8_t *rom) {
    const a26_cartridge_t cartridge = {rom, A26_DEVICE_RUN, A26_DEVICE_SUMMARIES, A26_DEVICE_GAME, 0};
    return cartridge;
}

extern "C" {

__device__ int a26_device_state_bytes(int32_t *bytes) {
    *bytes = (int32_t)sizeof(a26_env_t);
    return 0;
}

/* Everything from the beginning. `sticky`: the probability that a frame keeps the action before;
 * `most_frames`: of an episode, 0 for no limit. */
__device__ int a26_device_load(int32_t *done, a26_env_t *env, const uint8_t *rom, uint32_t seed,
                               float sticky, int32_t most_frames, uint8_t *screen) {
    const a26_cartridge_t cartridge = a26_device_cartridge(rom);
    env->sticky_least = a26_sticky_least(sticky);
    env->most_frames = most_frames;
    a26_load(env, &cartridge, seed, screen);
    *done = 1;
    return 0;
}

/* A new game. */
__device__ int a26_device_reset(int32_t *done, a26_env_t *env, const uint8_t *rom, uint8_t *screen) {
    const a26_cartridge_t cartridge = a26_device_cartridge(rom);
    a26_reset_game(env, &cartridge, screen);
    *done = 1;
    return 0;
}

/* `skip` frames of an action, the last one drawn if there is a screen. */
__device__ int a26_device_act(int32_t *reward, a26_env_t *env, const uint8_t *rom, uint32_t action,
                              int32_t skip, uint8_t *screen) {
    const a26_cartridge_t cartridge = a26_device_cartridge(rom);
    *reward = a26_act(env, &cartridge, action, skip, screen);
    return 0;
}

/* Whether the episode has ended: 1 by the game, 2 by its length, 3 by both. */
__device__ int a26_device_over(int32_t *over, const a26_env_t *env) {
    *over = (env->terminal ? 1 : 0) | (a26_truncated(env) ? 2 : 0);
    return 0;
}

/* All of it for many environments, one a thread; the ROM is shared. What check_core.py compiles to
 * see the registers that a whole kernel needs. */
__global__ void a26_device_play(a26_env_t *envs, const uint8_t *rom, const uint8_t *actions,
                                int32_t *rewards, uint8_t *screens, int32_t count, int32_t skip) {
    const int32_t n = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    int32_t ended, done;
    if (n >= count)
        return;
    uint8_t *screen = screens ? screens + (uint32_t)n * A2600_SCREEN_BYTES : 0;
    a26_device_act(&rewards[n], &envs[n], rom, actions[n], skip, screen);
    a26_device_over(&ended, &envs[n]);
    if (ended)
        a26_device_reset(&done, &envs[n], rom, screen);
}

} /* extern "C" */
